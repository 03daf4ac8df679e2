"""Signatures of texts that are read in windows, beside those of texts that are cut."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.text.windows import TextLimits
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.texts import TextInputs
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.models import build_model
from tests.exporting.test_saved_model import ARCHITECTURE, VOCABULARY

LENGTH = 8
KINDS = {
    "classification": {"class_names": ("bad", "good")},
    "regression": {},
    "token_labels": {"class_names": ("O", "B-A", "I-A")},
}
SHORT = ["", "good film", "bad the the .", "한글"]
LONG = "good the bad . " * 4


def serving_models(kind: str) -> tuple[ServingModel, ServingModel]:
    """Of the same weights: texts are cut, or read in three windows at most."""
    tokenizer = WordPieceTokenizer(
        VOCABULARY, lower_case=False, strip_accents=False, unicode_normalization="NFC"
    )
    settings = {"kind": kind, "architecture": ARCHITECTURE, "max_seq_length": LENGTH, **KINDS[kind]}
    model = build_model(ModelDescription(**settings))
    model.encoder.skips_padding = True
    return tuple(
        ServingModel(
            model,
            TextInputs(tokenizer, TextLimits(LENGTH, number, 4)),
            ModelDescription(**settings, max_windows=number, window_stride=4),
        )
        for number in (1, 3)
    )


def ask(model: ServingModel, texts: list[str]) -> dict[str, np.ndarray]:
    answers = model.answers["serving_default"](tf.constant(texts))
    return {name: value.numpy() for name, value in answers.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_fit_a_row_are_answered_as_without_windows_bit_for_bit(kind: str) -> None:
    cut, in_windows = serving_models(kind)
    expected, received = ask(cut, SHORT), ask(in_windows, SHORT)
    assert expected.keys() == received.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, name)


def test_a_long_text_has_the_mean_of_its_windows_scores() -> None:
    cut, in_windows = serving_models("regression")
    words = LONG.split()
    # Windows of six tokens, four apart, three of them.
    parts = [" ".join(words[start : start + 6]) for start in (0, 4, 8)]
    answer = ask(in_windows, [LONG, "good"])["score"]
    np.testing.assert_allclose(answer[0], ask(cut, parts)["score"].mean(), rtol=1e-5)
    np.testing.assert_allclose(answer[1], ask(cut, ["good"])["score"][0], rtol=1e-5)
