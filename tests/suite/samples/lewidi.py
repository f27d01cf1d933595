"""A few made-up items of each data set; two files of annotators end their lists in commas, as the real ones do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_json, write_text


def item(texts: dict[str, str], given: dict[str, str | None], **more: Any) -> dict[str, Any]:
    """`more`: annotators, lang, other_info."""
    shared = {"annotation task": "made up", "text": texts, "annotators": ",".join(given), "annotations": given}
    return {**shared, "soft_label": {"1": 1.0}, "split": "train", "lang": "en", "other_info": {}} | more


CSC = {
    "7": item(
        {"context": "Steve spills tea, looks at you,\nand sighs.", "response": "great job, “Steve”"},
        {"Ann1": "6", "Ann2": "4", "Ann900": "1"},
    ),
    "8": item({"context": "Steve is early.", "response": "thanks for waiting"}, {"Ann1": "1", "Ann2": "2"}),
    "9": item({"context": "Steve is late.", "response": "no rush"}, {"Ann1": "3", "Ann3": "5", "Ann2": None}),
}
CSC_META = {
    "Ann1": {"Gender": "Female", "Age": "56"},
    "Ann2": {"Gender": "DATA_EXPIRED", "Age": "24"},
    "Ann3": {"Gender": "CONSENT_REVOKED", "Age": "nan"},
}


def _where(source: str, level: float, variety: str) -> dict[str, Any]:
    return {"source": source, "level": level, "language_variety": variety}


MP = {
    "2": item(
        {"post": "It rains again.", "reply": "How lovely ☔"},
        {"Ann0": "1", "Ann1": "0"},
        other_info=_where("twitter", 1.0, "ie"),
    ),
    "5": item(
        {"post": "¿Qué tal?", "reply": "Fenomenal, como siempre"},
        {"Ann0": "0", "Ann1": "1"},
        lang="es",
        other_info=_where("reddit", 2.0, "mx"),
    ),
}
MP_META = {
    "0": {"Age": 19.0, "Gender": "Female", "Ethnicity simplified": "DATA_EXPIRED", "Country of birth": "Mexico"},
    "1": {"Age": 34.0, "Gender": "Male", "Ethnicity simplified": "Mixed", "Country of birth": "Ireland"},
}
PAR = {
    str(n): item(
        {"Question1": f"How do I boil {n} eggs?", "Question2": f"How are {n} eggs boiled?"},
        {"Ann1": str(n - 5), "Ann2": "5"},
        other_info={"explanations": [f"first, {n}", f'second "{n}"']},
    )
    for n in range(11)
}
PAR_META = """{
	"Ann1":{
		"Gender":"Male",
		"Age":"26",
		"Education":"master student",
	},
	"Ann2":{
		"Gender":"Female",
		"Age":"30",
		"Education":"postdoc",
	}
}"""
VEN = {
    "30": item(
        {"context": "The dog sleeps.", "statement": "The dog is tired."},
        {"Ann1": "neutral", "Ann2": "entailment,neutral", "Ann3": "entailment"},
        annotators="Ann1,Ann2,Ann2,Ann3",
        other_info={"explanations": ["may be old", "sleep follows tiredness", "may be bored", "it sleeps"]},
    ),
    "31": item(
        {"context": "The shop is shut.", "statement": "The shop is open."},
        {"Ann1": "contradiction", "Ann3": "contradiction"},
        other_info={"explanations": ["shut is not open", "opposites"]},
    ),
}
VEN_META = PAR_META.replace('"Ann2"', '"Ann3"')


def write(folder: Path) -> None:
    for name, items in {"CSC": CSC, "MP": MP, "Paraphrase": PAR, "VariErrNLI": VEN}.items():
        write_json(folder / f"{name}_train.json", items)
    write_json(folder / "CSC_annotators_meta.json", CSC_META)
    write_json(folder / "MP_annotators_meta.json", MP_META)
    write_text(folder / "Paraphrase_annotators_meta.json", PAR_META)
    write_text(folder / "VariErrNLI_annotators_meta.json", VEN_META)
