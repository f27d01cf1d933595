"""Made-up files in the shape of the sources' own, a few rows each."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

from pluralign.suite.sources import babynames, diffuse_distribution, helpsteer

PEOPLE = ["{Ada Moor}\n{Female}\n{May 2, 1931}", "{Jo\u200b Lind}\n{Male}\n{June 7, 1950}"]
RATED = [
    ("Name a bird.", "A crow.", (3, 4, 4, 1, 1)),
    ("Name a bird.", "The crow is a bird.", (4, 4, 4, 2, 2)),
    ("What is 2 + 2?", "4", (4, 4, 4, 0, 0)),
    ("What is 2 + 2?", "5", (0, 0, 4, 0, 0)),
    ("Say hello.", "Hello!", (4, 4, 4, 1, 0)),
    ("Say hello.", "Grüße und hallo!", (2, 3, 3, 2, 1)),
    ("Name a city.", "Lima", (3, 3, 3, 3, 3)),
    ("Name a city.", "Oslo", (3, 3, 3, 3, 3)),
    ("Name a sea.", "The North Sea", (2, 4, 4, 1, 2)),
    ("Name a sea.", "A lake", (1, 0, 3, 1, 1)),
]


def write_all(data_dir: Path) -> Path:
    """All three sources below this folder, which comes back."""
    write_lists(data_dir / "diffuse_distributions")
    write_names(data_dir / "babynames")
    write_judged(data_dir / "helpsteer")
    return data_dir


def write_lists(folder: Path) -> None:
    for file in diffuse_distribution.FILES:
        path = folder / "prompts" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        targets = PEOPLE if "people" in file else ["{one}", "{two}", "{three}"]
        record = {"request": f'Pick from "{path.stem}", at random. Write {{thing}} and no code.', "targets": targets}
        path.write_text(json.dumps(record))


def write_names(folder: Path, *, first: str = "Mary,F,50") -> None:
    """Each year the same: three names of girls, two of boys, Lee among both."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\r\n".join([first, "Anna,F,30", "Lee,F,10", "John,M,60", "Lee,M,20"]) + "\r\n"
    with zipfile.ZipFile(folder / "names.zip", "w") as archive:
        archive.writestr("NationalReadMe.pdf", b"%PDF")
        for year in babynames.YEARS:
            archive.writestr(f"yob{year}.txt", text)


def write_judged(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"prompt": prompt, "response": response} | dict(zip(helpsteer.QUALITIES, ratings, strict=True))
        for prompt, response, ratings in RATED
    ]
    content = "\n".join(map(json.dumps, rows)).encode()
    (folder / helpsteer.FILE).write_bytes(gzip.compress(content, mtime=0))  # the same bytes at any time
