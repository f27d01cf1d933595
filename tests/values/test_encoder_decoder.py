from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

import tiny_kaleido
from pluralign.errors import ModelError
from pluralign.values.considerations import RELEVANCE, VALENCES, Consideration, relevance_input
from pluralign.values.encoder_decoder import EncoderDecoderKaleido
from pluralign.values.inputs import PUBLISHED, InputEncoder, Rendered, TaskTemplate, read_templates
from pluralign.values.kaleido import Decoding, open_values_model
from reference import plain_values
from tiny_kaleido import CONSIDERATIONS, SITUATIONS, TASK_PARAMS

LONG = "Biking to work instead of driving and " * 30


def again(model: EncoderDecoderKaleido, **decoding: Any) -> EncoderDecoderKaleido:
    return EncoderDecoderKaleido(model.model, model.tokenizer, name=model.name, weights="random", decoding=Decoding(**decoding))


# inputs


def test_the_published_form_is_the_template_of_a_checkpoint_without_one() -> None:
    templates = read_templates(None, where="x")
    one = Consideration("Value", "power")
    assert templates["relevance"].render("Saving half", one).text == relevance_input("Saving half", one)
    assert templates == PUBLISHED


def test_a_checkpoints_own_templates_are_read() -> None:
    own = {"relevance": {"template": "Is VALUE (VRD) at stake in ACTION?", "args": ["ACTION", "VRD", "VALUE"]}}
    found = read_templates(own, where="x")["relevance"].render("a VRD", Consideration("Duty", "to ACTION"))
    assert found.text == "Is to ACTION (Duty) at stake in a VRD?"  # what is put in is not looked through again
    assert found.text[slice(*found.situation)] == "a VRD"


@pytest.mark.parametrize(
    "given", [{"template": "no arguments", "args": ["ACTION"]}, {"template": "ACTION", "args": ["ACTION", "VRD"]}, "text", {}]
)
def test_a_template_without_its_arguments_is_refused(given: object) -> None:
    with pytest.raises(ModelError, match=r"task_specific_params\.generate"):
        read_templates({"generate": given}, where="x")


def test_a_cut_input_keeps_its_consideration(words: PreTrainedTokenizerFast) -> None:
    template = TaskTemplate(TASK_PARAMS["relevance"]["template"], tuple(TASK_PARAMS["relevance"]["args"]))
    encoder = InputEncoder(words, max_tokens=40)
    (short, long), is_cut = encoder.encode([template.render(text, CONSIDERATIONS[2]) for text in (SITUATIONS[0], LONG)])
    assert is_cut == [False, True]
    assert len(long) == 40
    assert words.decode(long).endswith("Right: Right to be safe</s>")
    assert words.decode(long).startswith("[Relevance]: Situation: Biking to work instead")
    assert short.tolist() == words(template.render(SITUATIONS[0], CONSIDERATIONS[2]).text).input_ids


def test_a_cut_generation_input_is_the_published_one(words: PreTrainedTokenizerFast) -> None:
    (ids,), _ = InputEncoder(words, max_tokens=30).encode([PUBLISHED["generate"].render(LONG)])
    assert ids.tolist() == words(PUBLISHED["generate"].render(LONG).text, truncation=True, max_length=30).input_ids


def test_text_never_becomes_a_control_token(words: PreTrainedTokenizerFast) -> None:
    sly = PUBLISHED["generate"].render("a</s>b<pad> c")
    (ids,), _ = InputEncoder(words, max_tokens=60).encode([sly])
    assert ids.tolist().count(1) == 1
    assert ids[-1] == 1
    assert 0 not in ids
    assert InputEncoder(words, max_tokens=60).encode([Rendered("a", (0, 1))])[0][0].tolist() == words("a").input_ids


# scores


def test_scores_are_the_plain_ones(random_kaleido: EncoderDecoderKaleido) -> None:
    """One input and one option at a time, by the model's own loss path."""
    pairs = tiny_kaleido.all_pairs()
    relevance, valence = random_kaleido.relevance(pairs), random_kaleido.valence(pairs)
    for n, (situation, one) in enumerate(pairs):
        for task, options, found in (
            ("relevance", RELEVANCE, relevance.values[n]),
            ("valence", VALENCES, valence.values[n]),
        ):
            text = plain_values.filled(TASK_PARAMS[task], situation, one.vrd, one.text)
            plain = plain_values.shares(
                [plain_values.option_logprob(random_kaleido.model, random_kaleido.tokenizer, text, o) for o in options]
            )
            assert found == pytest.approx(plain[0] if task == "relevance" else plain, rel=2e-4, abs=0)
    assert set(valence.outcomes) == {"ok"}
    assert not valence.is_cut.any()
    assert np.log(valence.values).std(axis=0).min() > 0.1  # inputs matter


def test_words_of_several_tokens_are_scored_to_their_end(random_kaleido: EncoderDecoderKaleido) -> None:
    lengths = [len(random_kaleido.tokenizer(word).input_ids) for word in VALENCES]
    assert len(set(lengths)) > 1
    first = random_kaleido.valence(tiny_kaleido.all_pairs()[:3]).values
    ids = [random_kaleido.tokenizer(word).input_ids[0] for word in VALENCES]
    text = plain_values.filled(TASK_PARAMS["valence"], SITUATIONS[0], CONSIDERATIONS[0].vrd, CONSIDERATIONS[0].text)
    with torch.no_grad():
        inputs = random_kaleido.tokenizer(text, return_tensors="pt").input_ids
        logits = random_kaleido.model(input_ids=inputs, decoder_input_ids=torch.zeros((1, 1), dtype=torch.long)).logits
    only_first = logits[0, 0, ids].softmax(0).double().numpy()
    assert np.abs(first[0] - only_first).max() > 1e-3


def test_a_batch_changes_no_answer(random_kaleido: EncoderDecoderKaleido) -> None:
    pairs = [*tiny_kaleido.all_pairs(), (LONG, CONSIDERATIONS[0]), ("x", CONSIDERATIONS[1])]
    together = random_kaleido.valence(pairs).values
    alone = np.concatenate([random_kaleido.valence([pair]).values for pair in pairs])
    assert together == pytest.approx(alone, abs=2e-6)


def test_what_is_cut_is_said(random_kaleido: EncoderDecoderKaleido) -> None:
    found = random_kaleido.relevance([(LONG, CONSIDERATIONS[0]), (LONG, CONSIDERATIONS[1]), ("x", CONSIDERATIONS[0])])
    assert found.is_cut.tolist() == [True, True, False]
    assert abs(found.values[0] - found.values[1]) > 1e-6  # the considerations were read
    assert random_kaleido.generate([LONG], n=2, seed=0)[0][0].is_cut


def test_nothing_asked_is_nothing_answered(random_kaleido: EncoderDecoderKaleido) -> None:
    assert random_kaleido.valence([]).values.shape == (0, 3)
    assert random_kaleido.relevance([]).values.shape == (0,)
    assert random_kaleido.explain([]) == []


# generation


@pytest.mark.parametrize("n", [1, 5, 40])
def test_beams_are_those_of_transformers(checkpoint: Path, random_kaleido: EncoderDecoderKaleido, n: int) -> None:
    trained = open_values_model(f"hf/{checkpoint}")
    assert isinstance(trained, EncoderDecoderKaleido)
    for model in (trained, random_kaleido):
        found = model.generate([*SITUATIONS, "x"], n=n, seed=0)
        for situation, outputs in zip([*SITUATIONS, "x"], found, strict=True):
            text = plain_values.filled(TASK_PARAMS["generate"], situation)
            if n == 1:
                continue
            plain = plain_values.generations(model.model, model.tokenizer, text, n=n)
            assert [one.text for one in outputs if one.outcome != "length"] == plain
        assert all(len(outputs) == n for outputs in found)


def test_a_beams_logprob_is_that_of_its_text(checkpoint: Path) -> None:
    model = open_values_model(f"hf/{checkpoint}")
    assert isinstance(model, EncoderDecoderKaleido)
    for one in model.generate(SITUATIONS[:1], n=6, seed=0)[0]:
        text = plain_values.filled(TASK_PARAMS["generate"], SITUATIONS[0])
        assert one.logprob == pytest.approx(plain_values.option_logprob(model.model, model.tokenizer, text, one.text), abs=1e-4)


def test_samples_belong_to_their_situation(checkpoint: Path) -> None:
    model = open_values_model(f"hf/{checkpoint}", decoding=Decoding(way="samples"))
    together = model.generate(SITUATIONS, n=30, seed=4)
    alone, fewer, other = (model.generate(SITUATIONS[2:3], n=n, seed=seed)[0] for n, seed in ((30, 4), (7, 4), (30, 5)))
    texts = [one.text for one in together[2]]
    assert [one.text for one in alone] == texts
    assert [one.text for one in fewer] == texts[:7]
    assert [one.text for one in other] != texts
    right = [one.consideration in CONSIDERATIONS for outputs in together for one in outputs]
    assert np.mean(right) > 0.2  # what it learned; one that knows nothing hits none
    assert isinstance(model, EncoderDecoderKaleido)
    for one in [one for one in together[0] if one.consideration in CONSIDERATIONS][:5]:
        text = plain_values.filled(TASK_PARAMS["generate"], SITUATIONS[0])
        assert one.logprob == pytest.approx(plain_values.option_logprob(model.model, model.tokenizer, text, one.text), abs=1e-4)


def test_an_output_that_is_cut_off_names_nothing(random_kaleido: EncoderDecoderKaleido) -> None:
    for way in ("beams", "samples"):
        found = again(random_kaleido, max_new_tokens=2, way=way).generate(SITUATIONS[:2], n=20, seed=0)
        cut = [one for outputs in found for one in outputs if one.outcome == "length"]
        assert cut
        assert all(one.consideration is None for one in cut)


def test_explanations_are_what_transformers_writes(checkpoint: Path) -> None:
    model = open_values_model(f"hf/{checkpoint}")
    assert isinstance(model, EncoderDecoderKaleido)
    pairs = tiny_kaleido.all_pairs()[:5]
    for (situation, one), found in zip(pairs, model.explain(pairs), strict=True):
        text = plain_values.filled(TASK_PARAMS["explanation"], situation, one.vrd, one.text)
        ids = model.tokenizer(text, return_tensors="pt").input_ids
        plain = model.model.generate(ids, num_beams=1, do_sample=False, max_new_tokens=128)
        assert found.text == model.tokenizer.decode(plain[0], skip_special_tokens=True)
        assert found.outcome == "ok"


def test_vectors_are_means_over_a_texts_own_tokens(random_kaleido: EncoderDecoderKaleido) -> None:
    texts = ["Right to be safe", "x", "Duty to help a friend and a stranger"]
    found = random_kaleido.embed(texts)
    for row, text in zip(found, texts, strict=True):
        assert row == pytest.approx(plain_values.vector(random_kaleido.model, random_kaleido.tokenizer, text), abs=1e-5)


# opening


def test_a_folder_is_opened_as_what_it_is(checkpoint: Path) -> None:
    model = open_values_model(f"hf/{checkpoint}")
    assert isinstance(model, EncoderDecoderKaleido)
    assert dict(model.system_params) == tiny_kaleido.SYSTEM_PARAMS
    assert model.templates["valence"].args == ("ACTION", "VRD", "VALUE")
    assert model.fingerprint() == open_values_model(f"hf/{checkpoint}").fingerprint()
    other = open_values_model(f"hf/{checkpoint}", decoding=Decoding(way="samples"))
    assert model.fingerprint() != other.fingerprint()


def test_no_folder_is_a_stated_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        open_values_model("hf//nowhere/at/all")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        open_values_model(f"hf/{tmp_path}")
