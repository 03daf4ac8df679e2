"""What heads say of texts in windows: as of each window alone, joined."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.data.text.windows import TextLimits, pack_windows
from bert_tf.layers.tensorflow.windows import window_rows
from bert_tf.models.classifier import (
    BertClassifier,
    BertQuestionAnswerer,
    BertTokenClassifier,
    BertTokenLabeler,
)

CONFIG = ModelConfig(
    num_hidden_layers=2,
    hidden_size=16,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
    vocab_size=50,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
LIMITS = TextLimits(8, 4, 3)
LENGTHS = (3, 14, 0, 9)
OFFSETS = ("token_starts", "token_ends", "begins_word")


def make(kind: type[BertClassifier], **options: Any) -> Any:
    model = kind(CONFIG, num_classes=2, dropout_rate=0.0, **options)
    model.build(dict.fromkeys(("input_ids", "input_mask", "segment_ids"), (None, None)))
    draw = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(draw.normal(scale=0.5, size=weight.shape))
    return model


def windows_of(lengths: tuple[int, ...], limits: TextLimits = LIMITS) -> dict[str, tf.Tensor]:
    draw = np.random.default_rng(5)
    texts = tf.ragged.constant([draw.integers(5, 50, it).tolist() for it in lengths], tf.int32)
    packed = pack_windows(texts, limits=limits, cls_id=2, sep_id=3)
    width = 2 + max(lengths)
    offsets = {name: tf.zeros([len(lengths), width], tf.int32) for name in OFFSETS}
    return packed.of_each(tf.constant(len(lengths), tf.int64), pad_id=0) | offsets


def each_window(model: Any, inputs: dict[str, tf.Tensor]) -> list[list[np.ndarray]]:
    """Of each text what the model says of each of its windows, asked alone."""
    names = ("input_ids", "input_mask", "segment_ids")
    found: list[list[np.ndarray]] = []
    for text in range(len(inputs["input_ids"])):
        found.append([])
        for window in range(inputs["input_ids"].shape[1]):
            if inputs["input_mask"][text, window, 0]:
                row = {name: inputs[name][text, window][tf.newaxis] for name in names}
                found[-1].append(model.of_rows(row)[0].numpy())
    return found


@pytest.mark.parametrize("how", ["mean", "max"])
def test_scores_of_texts_are_the_mean_or_the_maximum_of_their_windows(how: str) -> None:
    model, inputs = make(BertClassifier, window_join=how), windows_of(LENGTHS)
    expected = [getattr(np, how)(own, axis=0) for own in each_window(model, inputs)]
    assert [len(own) for own in each_window(model, inputs)] == [1, 4, 1, 2]
    np.testing.assert_allclose(model(inputs), expected, rtol=1e-5, atol=1e-5)


def test_scores_of_tokens_are_those_of_the_window_they_are_read_in() -> None:
    model, inputs = make(BertTokenLabeler), windows_of(LENGTHS)
    expected = np.zeros((len(LENGTHS), 2 + max(LENGTHS), 2), np.float32)
    for text, own in enumerate(each_window(model, inputs)):
        expected[text, 0] = own[0][0]
        for window, scores in enumerate(own):
            for column, place in enumerate(inputs["document_columns"][text, window].numpy()):
                if place:
                    expected[text, place] = scores[column]
    outputs = model(inputs)
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-5, atol=1e-5)
    assert set(outputs) == {"logits", *OFFSETS}


def test_no_answer_has_the_scores_of_the_window_where_it_is_least_likely() -> None:
    model, inputs = make(BertQuestionAnswerer), windows_of(LENGTHS)
    firsts = [np.array([scores[0] for scores in own]) for own in each_window(model, inputs)]
    expected = [of_text[of_text.sum(axis=1).argmin()] for of_text in firsts]
    np.testing.assert_allclose(model(inputs)["logits"][:, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [BertClassifier, BertTokenClassifier, BertQuestionAnswerer])
@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_text_with_one_window_has_what_its_row_has_bit_for_bit(
    kind: type[BertClassifier], how: str
) -> None:
    model, inputs = make(kind, window_join=how), windows_of((3, 6, 5, 1))
    assert inputs["input_ids"].shape[1] == 1
    rows = {name: inputs[name][:, 0] for name in ("input_ids", "input_mask", "segment_ids")}
    expected, received = model(rows).numpy(), model(inputs)
    if kind is BertClassifier:
        np.testing.assert_array_equal(received, expected)
        return
    logits = received["logits"] if isinstance(received, dict) else received
    for text, length in enumerate((3, 6, 5, 1)):
        np.testing.assert_array_equal(logits[text, : 1 + length], expected[text, : 1 + length])


def test_gradients_are_those_of_the_windows_alone() -> None:
    model, inputs = make(BertClassifier), windows_of(LENGTHS)
    variables = [weight.value for weight in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(inputs, training=True)))
    together = tape.gradient(loss, variables)
    with tf.GradientTape() as tape:
        loss = 0.0
        for text in range(len(LENGTHS)):
            is_own = inputs["input_mask"][text, :, 0] > 0
            rows = {
                name: tf.boolean_mask(inputs[name][text], is_own)
                for name in ("input_ids", "input_mask", "segment_ids")
            }
            logits = tf.reduce_mean(model.of_rows(rows, training=True), axis=0)
            loss += tf.reduce_sum(tf.square(logits))
    for one, other in zip(together, tape.gradient(loss, variables), strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(one), tf.convert_to_tensor(other), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("number", "rounded"), [(1, 1), (7, 7), (15, 16), (17, 20), (33, 40), (130, 160)]
)
def test_rows_are_rounded_up_by_a_quarter_at_most(number: int, rounded: int) -> None:
    mask = tf.ones([number, 1, 4], tf.int32)
    rows = window_rows({"input_mask": mask, "input_ids": mask})
    assert rows.inputs["input_ids"].shape == (rounded, 4)
    assert rows.owners.numpy().tolist() == [*range(number), *[-1] * (rounded - number)]
