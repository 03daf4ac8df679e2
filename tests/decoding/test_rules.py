"""Forbidden tokens, and n-grams found by comparing them one by one; what a decoder gets wrong."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import DecodingConfig
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.decoding.log_probabilities import log_probabilities
from bert_tf.decoding.rules import without_repeated
from bert_tf.decoding.search import search
from tests.decoding.history_model import (
    TOKENS,
    HistoryModel,
    decode,
    draw_inputs,
    every_answer,
    found_ids,
    repeats,
)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("num_tokens", [0, 1, 2, 3, 4, 9, 20])
def test_a_token_is_refused_where_its_ngram_stood_before(size, num_tokens):
    numbers = np.random.default_rng(size + 10 * num_tokens)
    ids = numbers.integers(0, 3, size=(4, 5, num_tokens)).astype(np.int32)
    log_probs = -numbers.random(size=(4, 5, 16)).astype(np.float32)
    found = without_repeated(tf.constant(log_probs), tf.constant(ids), size=size).numpy()
    expected = log_probs.copy()
    num_refused = 0
    for text, hypothesis in np.ndindex(4, 5):
        history = ids[text, hypothesis].tolist()
        grams = {tuple(history[at : at + size]) for at in range(num_tokens - size + 1)}
        for token in range(16):
            if num_tokens >= size and (*history[num_tokens - size + 1 :], token) in grams:
                expected[text, hypothesis, token] = -np.inf
                num_refused += 1
    np.testing.assert_array_equal(found, expected)
    assert num_refused > 0 or num_tokens < 9


@pytest.mark.parametrize("method", [{"method": "greedy"}, {"beam_size": 3}, {"method": "sample"}])
def test_no_ngram_stands_twice_in_an_answer(method):
    model = HistoryModel(vocab_size=5, max_length=20, seed=2, end_bias=-3.0)
    inputs = draw_inputs(8, seed=2)
    config = DecodingConfig(max_length=20, min_length=9, no_repeat_ngram_size=2, **method)
    found = decode(model, inputs, config)
    assert found.lengths.max() >= 9
    for row in range(8):
        assert not any(repeats(ids, config) for ids in found_ids(found, row))
    without = decode(model, inputs, DecodingConfig(max_length=20, **method))
    assert any(repeats(ids, config) for row in range(8) for ids in found_ids(without, row))


def test_forbidden_tokens_are_in_no_answer():
    tokens = SpecialTokens(start_id=1, end_id=0, pad_id=1, forbidden_ids=(1, 3))
    config = DecodingConfig(max_length=4, beam_size=256, num_answers=10)
    model = HistoryModel(vocab_size=4, max_length=4, seed=2)
    inputs = draw_inputs(2, seed=2)
    found = tf.function(search, autograph=False)(
        model, tf.constant(inputs), config=config, tokens=tokens
    )
    for row in range(2):
        expected = every_answer(model, inputs[row], config, forbidden=(1, 3))
        lengths = found.lengths[row].numpy()[found.is_found[row].numpy()]
        ids = [tuple(found.ids[row, at, :length].numpy()) for at, length in enumerate(lengths)]
        assert ids == [answer.ids for answer in expected]


def test_log_probabilities_are_those_of_the_softmax():
    logits = np.random.default_rng(0).normal(scale=5.0, size=(3, 2, 21)).astype(np.float32)
    logits[0, 0, 4] = -np.inf
    logits[1] *= 1e30
    found, has_failed = log_probabilities(tf.constant(logits), tf.ones([3, 2], tf.bool))
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        expected = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    np.testing.assert_allclose(found[..., :21], expected, rtol=1e-5, atol=1e-5)
    assert np.all(np.isneginf(found[..., 21:]))
    assert np.all(found <= 0.0)
    assert not np.any(has_failed)


@pytest.mark.parametrize("place", [0, 7, 20])
@pytest.mark.parametrize("what", [np.nan, np.inf])
def test_one_logit_that_is_no_number_is_found_wherever_it_is(what, place):
    logits = np.zeros((2, 2, 21), np.float32)
    logits[1, 0, place] = logits[0, 1, place] = what
    is_open = tf.constant([[True, False], [True, True]])
    log_probs, has_failed = log_probabilities(tf.constant(logits), is_open)
    np.testing.assert_array_equal(has_failed, [[False, False], [True, False]])
    assert not np.any(np.isnan(log_probs))


def test_logits_that_are_all_minus_infinity_are_no_distribution():
    logits = tf.fill([1, 1, 5], float("-inf"))
    assert log_probabilities(logits, tf.ones([1, 1], tf.bool))[1].numpy().all()


def test_special_tokens_must_be_in_the_vocabulary():
    model, inputs = HistoryModel(vocab_size=4, max_length=4, seed=2), draw_inputs(1, seed=2)
    tokens = SpecialTokens(start_id=1, end_id=4, pad_id=-1)
    with pytest.raises(ValueError, match=r"from 0 to 3, the decoder's vocabulary.*\[-1, 4\]"):
        search(model, inputs, config=DecodingConfig(max_length=4), tokens=tokens)
    with pytest.raises(ValueError, match="must not have end_id"):
        SpecialTokens(start_id=1, end_id=4, pad_id=0, forbidden_ids=(2, 4))


def test_logits_need_a_known_vocabulary():
    class Unknown(HistoryModel):
        def step(self, ids, position, memory, cache):
            logits, cache = super().step(ids, position, memory, cache)
            return tf.reshape(logits, tf.concat([tf.shape(ids), [-1]], axis=0)), cache

    model = Unknown(vocab_size=4, max_length=4, seed=2)
    with pytest.raises(ValueError, match="vocabulary known"):
        decode(model, draw_inputs(1, seed=2), DecodingConfig(max_length=4), in_graph=True)


def test_a_beam_wider_than_memory_allows_is_refused_before_it_is_made():
    model, inputs = HistoryModel(vocab_size=64, max_length=4, seed=2), draw_inputs(1, seed=2)
    config = DecodingConfig(max_length=512, beam_size=4096, num_answers=2)
    message = (
        r"at most max_mb_per_text=512 MB\. Received: 520 MB for 4096 hypotheses of "
        r"max_length=512 at 260 bytes a token\. Lower beam_size"
    )
    with pytest.raises(ValueError, match=message):
        search(
            model, inputs, config=config.model_copy(update={"max_mb_per_text": 512}), tokens=TOKENS
        )


def test_a_cache_must_have_known_dimensions():
    class Flat(HistoryModel):
        def begin(self, inputs):
            memory, cache = super().begin(inputs)
            return memory, {"flat": cache["places"][:, 0]}

    model = Flat(vocab_size=4, max_length=4, seed=2)
    with pytest.raises(ValueError, match=r"must be tensors \(batch, 1, 0, \.\.\.\)"):
        decode(model, draw_inputs(1, seed=2), DecodingConfig(max_length=4))


def test_source_lengths_are_needed_where_they_bound_answers():
    model = HistoryModel(vocab_size=4, max_length=4, seed=2)
    config = DecodingConfig(max_length=4, max_extra_length=2)
    with pytest.raises(ValueError, match="source_lengths must be given with max_extra_length"):
        decode(model, draw_inputs(1, seed=2), config)
