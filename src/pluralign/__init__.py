"""pluralign: measure, model and train language models for human variation.

Everything answers one question: how probable is this answer, from this person or process, given what is known about them?
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
