from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from pluralign.errors import ModelError, UsageError
from pluralign.evals.entailment import EntailmentScorer, TransformersEntailment, open_entailment
from pluralign.evals.presence import Written
from pluralign.models.protocol import Usage

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["[", "]", "sep", "water", "is", "warm", "cold", "bridge", "good", "bad", ".", ","],
]
LABELS = {0: "contradiction", 1: "neutral", 2: "Entailment"}


def _tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, model_input_names=["input_ids", "token_type_ids", "attention_mask"], **named
    )


def _model(labels: dict[int, str] | None = None) -> Any:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=24,
        num_labels=3,
        id2label=LABELS if labels is None else labels,
    )
    made = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nli")
    _model().save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


def test_probabilities_are_those_of_one_pair_at_a_time(folder: Path) -> None:
    """Whatever stands beside a pair in its batch; ids by hand: [CLS] premise [SEP] hypothesis [SEP]."""
    premises = ["water is warm.", "water", "bridge is good, water is cold.", ""]
    hypotheses = ["water is good", "bridge", "cold", "warm"]
    opened = open_entailment(f"hf/{folder}", device="cpu")
    found = opened.p_entail(premises, hypotheses)
    vocab = {word: n for n, word in enumerate(WORDS)}
    for n, (premise, hypothesis) in enumerate(zip(premises, hypotheses, strict=True)):
        first, second = (
            [vocab[w] for w in text.replace(".", " .").replace(",", " ,").split()] for text in (premise, hypothesis)
        )
        ids = [2, *first, 3, *second, 3]
        kinds = [0] * (len(first) + 2) + [1] * (len(second) + 1)
        with torch.inference_mode():
            logits = _model()(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([kinds])).logits
        assert found[n] == pytest.approx(torch.softmax(logits[0], 0)[2].item(), abs=1e-5)
    assert found.std() > 1e-3
    assert opened.name == f"hf/{folder}"
    written = " ".join([*premises, *hypotheses]).replace(".", " .").replace(",", " ,")
    assert opened.usage.tokens_needed == len(written.split()) + 3 * len(premises)
    assert opened.usage.tokens_computed >= opened.usage.tokens_needed
    assert opened.p_entail([], []).tolist() == []


def test_a_fingerprint_is_of_weights_tokenizer_and_label(folder: Path) -> None:
    opened, again = (open_entailment(f"hf/{folder}", device="cpu") for _ in range(2))
    assert opened.fingerprint() == again.fingerprint() == TransformersEntailment(_model(), _tokenizer()).fingerprint()
    other = TransformersEntailment(_model({0: "entailment", 1: "neutral", 2: "contradiction"}), _tokenizer())
    assert other.fingerprint() != opened.fingerprint()
    changed = _model()
    with torch.no_grad():
        changed.classifier.bias += 1
    assert TransformersEntailment(changed, _tokenizer()).fingerprint() != opened.fingerprint()


def test_control_tokens_in_text_are_only_text(folder: Path) -> None:
    """With them read as control, "water [SEP] bridge" would be a pair of its own."""
    opened = open_entailment(f"hf/{folder}", device="cpu")
    [plain, spelled] = opened.p_entail(["water [SEP] bridge"] * 2, ["cold [CLS]", "cold [ cls ]"])
    [other] = opened.p_entail(["water [ sep ] bridge"], ["cold [ cls ]"])
    assert plain == pytest.approx(spelled, abs=1e-6)
    assert spelled == pytest.approx(other, abs=1e-6)


def test_vocabularies_that_hold_control_tokens_as_pieces_are_seen_through() -> None:
    """A pair whose text becomes such a token is NaN."""
    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "</s>": 2, "water": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", eos_token="</s>")
    found = TransformersEntailment(_model(), tokenizer).p_entail(["water", "water </s>"], ["water", "water"])
    assert np.isnan(found).tolist() == [False, True]


def test_a_pair_that_is_too_long_has_no_probability(folder: Path) -> None:
    """24 positions: 3 control tokens, so 21 words at most."""
    opened = open_entailment(f"hf/{folder}", device="cpu")
    found = opened.p_entail(["water " * 20, "water " * 21], ["cold", "cold"])
    assert np.isnan(found).tolist() == [False, True]


def test_models_that_cannot_be_used_are_refused(folder: Path, tmp_path: Path) -> None:
    for labels, said in (
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, "0 are called 'entailment'"),
        ({0: "entailment", 1: "Entailment", 2: "neutral"}, "2 are called 'entailment'"),
        ({0: "not_entailment", 1: "x", 2: "y"}, "0 are called 'entailment'"),
    ):
        with pytest.raises(ModelError, match=said):
            TransformersEntailment(_model(labels), _tokenizer())
    with pytest.raises(UsageError, match="write hf/FOLDER_OR_ID"):
        open_entailment("openai/nli")
    with pytest.raises(UsageError, match="write hf/FOLDER_OR_ID"):
        open_entailment("hf/")
    with pytest.raises(ModelError, match="no such folder"):
        open_entailment(f"hf/{tmp_path}/missing")
    with pytest.raises(ModelError, match="no sequence classifier can be loaded"):
        open_entailment(f"hf/{tmp_path}")
    with pytest.raises(UsageError, match="are pairs; got 1 and 2"):
        open_entailment(f"hf/{folder}", device="cpu").p_entail(["a"], ["b", "c"])


def test_a_head_that_would_be_random_is_refused(tmp_path: Path) -> None:
    _model().bert.save_pretrained(tmp_path)
    _tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="would be random"):
        open_entailment(f"hf/{tmp_path}")


class _Table:
    """P(entail) from a table of sentence and viewpoint; 0 for other pairs."""

    name = "table"

    def __init__(self, known: dict[tuple[str, str], float]) -> None:
        self.known = known
        self.asked: list[tuple[str, str]] = []
        self.usage = Usage()

    def fingerprint(self) -> str:
        return "table"

    def p_entail(self, premises: Sequence[str], hypotheses: Sequence[str]) -> npt.NDArray[np.float64]:
        pairs = list(zip(premises, hypotheses, strict=True))
        self.asked += pairs
        return np.array([self.known.get(pair, 0.0) for pair in pairs])


def test_presence_is_the_largest_over_sentences_and_over_viewpoints() -> None:
    table = _Table({("One.", "a"): 0.2, ("Two.", "a"): 0.7, ("Two.", "b"): 0.4})
    scorer = EntailmentScorer(table)
    [found] = scorer.presence([Written("q", "One. Two. Three.", ("a", "b", "c"))])
    assert found.viewpoints.tolist() == [0.7, 0.4, 0.0]
    assert found.sentences.tolist() == [0.2, 0.7, 0.0]
    assert (scorer.name, scorer.threshold, found.by_judge, found.detail) == ("table", 0.33, None, "")
    assert len(table.asked) == 9


def test_an_empty_response_covers_nothing_and_unreadable_pairs_are_told() -> None:
    table = _Table({("One.", "a"): float("nan")})
    empty, unread = EntailmentScorer(table).presence([Written("q", " \n", ("a", "b")), Written("q", "One. Two.", ("a", "b"))])
    assert (empty.viewpoints.tolist(), empty.sentences.tolist()) == ([0.0, 0.0], [])
    assert np.isnan(unread.viewpoints).tolist() == [True, False]
    assert np.isnan(unread.sentences).tolist() == [True, False]
    assert unread.detail == "1 of 4 pairs of sentence and viewpoint cannot be read by the model"
    assert EntailmentScorer(table).presence([]) == []
