"""`python -m pluralign`, which is how torchrun starts several processes."""

import sys

from pluralign.cli import main

if __name__ == "__main__":
    sys.exit(main())
