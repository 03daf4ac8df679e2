"""Draws beside the sets and the probabilities that NumPy computes."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from bert_tf.config import DecodingConfig
from bert_tf.decoding import sampling
from bert_tf.decoding.random_numbers import halves, uniform
from bert_tf.decoding.row_settings import RowSettings, fill_in
from bert_tf.decoding.sampling import Sampler
from tests.decoding.history_model import HistoryModel, decode, draw_inputs, found_ids

NUM_DRAWS = 20_000


def draw(log_probs, *, num_samples=1, position=0, rows=None, **settings):
    """int32 (B, num_samples) of float32 (B, W)."""
    config = DecodingConfig(method="sample", num_answers=num_samples, **settings)
    rows = RowSettings(**{name: tf.constant(value) for name, value in (rows or {}).items()})

    @tf.function
    def run(log_probs: tf.Tensor) -> tf.Tensor:
        filled = fill_in(rows, config=config, batch_size=tf.shape(log_probs)[0])
        of_samples = tf.repeat(log_probs[:, tf.newaxis], num_samples, axis=1)
        return Sampler.of(config, rows).draw(of_samples, tf.constant(position), filled)

    return run(tf.constant(log_probs, tf.float32)).numpy()


def draw_log_probs(num_texts, width, *, seed=0, scale=2.0):
    logits = np.random.default_rng(seed).normal(scale=scale, size=(num_texts, width))
    return (logits - np.log(np.sum(np.exp(logits), axis=1, keepdims=True))).astype(np.float32)


def kept(log_probs, *, temperature=1.0, top_k=None, top_p=1.0):
    """Of one text: the probabilities of the tokens that may be drawn, by NumPy, float64 (W)."""
    scaled = log_probs.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    order = np.argsort(-weights, kind="stable")[: top_k or len(weights)]
    sums = np.cumsum(weights[order]) / np.sum(weights[order])
    order = order[: 1 + int(np.sum(sums < top_p))]
    probabilities = np.zeros(len(weights))
    probabilities[order] = weights[order] / np.sum(weights[order])
    return probabilities


CASES = [
    {},
    {"temperature": 0.5},
    {"temperature": 3.0},
    {"top_k": 3},
    {"top_p": 0.7},
    {"top_k": 5, "top_p": 0.8, "temperature": 1.7},
]


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_draws_follow_the_softmax(settings):
    log_probs = draw_log_probs(1, 16, scale=1.0)[0]
    drawn = draw(log_probs[np.newaxis], num_samples=NUM_DRAWS, seed=7, **settings)[0]
    probabilities = kept(log_probs, **settings)
    counts = np.bincount(drawn, minlength=16)
    assert counts[probabilities == 0].sum() == 0
    is_kept = probabilities > 0
    test = scipy.stats.chisquare(counts[is_kept], NUM_DRAWS * probabilities[is_kept])
    assert test.pvalue > 0.001


@pytest.mark.parametrize("settings", [{}, {"top_p": 0.9}], ids=str)
def test_draws_of_many_seeds_follow_the_softmax(settings):
    """The first sample of many texts, whose seeds are 0, 1, 2 and so on."""
    log_probs = draw_log_probs(1, 16, scale=1.0)
    seeds = np.arange(NUM_DRAWS, dtype=np.int64)
    drawn = draw(np.repeat(log_probs, NUM_DRAWS, axis=0), rows={"seed": seeds}, **settings)
    probabilities = kept(log_probs[0], **settings)
    is_kept = probabilities > 0
    counts = np.bincount(drawn[:, 0], minlength=16)
    test = scipy.stats.chisquare(counts[is_kept], NUM_DRAWS * probabilities[is_kept])
    assert test.pvalue > 0.001


@pytest.mark.parametrize("scale", [0.1, 2.0])  # nearly flat: all tokens must be sorted
@pytest.mark.parametrize(
    "settings",
    [{"top_k": 40}, {"top_k": 300}, {"top_p": 0.6}, {"top_p": 0.99}, {"top_k": 200, "top_p": 0.5}],
    ids=str,
)
def test_what_is_drawn_of_many_tokens_is_among_those_that_are_kept(settings, scale):
    log_probs = draw_log_probs(4, 400, scale=scale)
    drawn = draw(log_probs, num_samples=2000, **settings)
    for row in range(4):
        allowed = np.flatnonzero(kept(log_probs[row], **settings))
        seen = np.unique(drawn[row])
        assert set(seen) <= set(allowed)
        assert len(seen) > len(allowed) / 3


def test_settings_of_each_text_are_those_of_a_configuration():
    """Also those that make all tokens be sorted, beside others that do not."""
    log_probs = draw_log_probs(6, 400)
    rows = [
        {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1},
        {"temperature": 0.3, "top_k": 0, "top_p": 1.0, "seed": 2},
        {"temperature": 1.0, "top_k": 7, "top_p": 1.0, "seed": 3},
        {"temperature": 2.0, "top_k": 0, "top_p": 0.9, "seed": 2**40 + 5},
        {"temperature": 1.0, "top_k": 250, "top_p": 0.9, "seed": 5},
        {"temperature": 1.0, "top_k": 1000, "top_p": 0.2, "seed": 6},
    ]
    columns = {
        name: np.array([row[name] for row in rows], kind)
        for name, kind in (
            ("temperature", np.float32),
            ("top_k", np.int32),
            ("top_p", np.float32),
            ("seed", np.int64),
        )
    }
    together = draw(log_probs, num_samples=200, rows=columns)
    for row, settings in enumerate(rows):
        own = {**settings, "top_k": settings["top_k"] or None}
        alone = draw(log_probs[row : row + 1], num_samples=200, **own)
        np.testing.assert_array_equal(together[row], alone[0], err_msg=str(settings))


def test_sorting_some_tokens_draws_what_sorting_all_does(monkeypatch):
    log_probs = draw_log_probs(8, 400, scale=3.0)
    some = draw(log_probs, num_samples=100, top_p=0.8)
    monkeypatch.setattr(sampling, "NUM_SORTED", 400)
    np.testing.assert_array_equal(some, draw(log_probs, num_samples=100, top_p=0.8))


@pytest.mark.parametrize("settings", [{}, {"top_k": 4}, {"top_p": 0.9}], ids=str)
def test_a_cold_text_takes_the_likeliest_token(settings):
    log_probs = draw_log_probs(5, 300)
    expected = np.argmax(log_probs, axis=1)
    cold = draw(log_probs, num_samples=20, temperature=1e-4, **settings)
    np.testing.assert_array_equal(cold, np.repeat(expected[:, np.newaxis], 20, axis=1))
    rows = {"temperature": np.array([1e-30, 1e-37, 1e-20, 1e-30, 1e-7], np.float32)}
    colder = draw(log_probs, num_samples=20, rows=rows, **settings)
    np.testing.assert_array_equal(colder, cold)


def test_impossible_tokens_are_not_drawn():
    log_probs = draw_log_probs(3, 32)
    log_probs[:, ::2] = -np.inf
    log_probs[2] = -np.inf
    for settings in CASES:
        drawn = draw(log_probs, num_samples=2000, **settings)
        assert np.all(drawn[:2] % 2 == 1)
        assert np.all(drawn[2] >= 0)
        assert np.all(drawn[2] < 32)


def test_equally_likely_tokens_are_kept_by_their_ids():
    log_probs = np.full((1, 16), -np.log(16.0), np.float32)
    assert set(draw(log_probs, num_samples=500, top_k=3)[0]) == {0, 1, 2}
    assert set(draw(log_probs, num_samples=500, top_p=0.25)[0]) == {0, 1, 2, 3}


def test_random_numbers_are_uniform_and_independent():
    seeds = halves(tf.range(2000, dtype=tf.int64))
    numbers = np.stack([uniform(seeds, tf.constant(at), num_samples=10) for at in range(3)], 2)
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    assert scipy.stats.kstest(numbers.ravel(), "uniform").pvalue > 0.001
    neighbours = [
        (numbers[1:], numbers[:-1]),  # seeds
        (numbers[:, 1:], numbers[:, :-1]),  # samples
        (numbers[:, :, 1:], numbers[:, :, :-1]),  # positions
    ]
    for one, other in neighbours:
        assert scipy.stats.pearsonr(one.ravel(), other.ravel()).pvalue > 0.001
    assert len(np.unique(numbers)) > 0.99 * numbers.size


def test_both_halves_of_a_seed_count():
    numbers = uniform(
        halves(tf.constant([1, 1 + 2**32, -1], tf.int64)), tf.constant(0), num_samples=4
    )
    assert len(np.unique(numbers)) == 12


SAMPLE = {"method": "sample", "max_length": 10, "num_answers": 3}


def make_model():
    return HistoryModel(vocab_size=7, max_length=10, seed=21, scale=0.5)


def test_a_seed_says_what_is_drawn():
    model, inputs = make_model(), draw_inputs(4, seed=21)
    one = decode(model, inputs, DecodingConfig(**SAMPLE, seed=1))
    np.testing.assert_array_equal(
        one.ids, decode(model, inputs, DecodingConfig(**SAMPLE, seed=1)).ids
    )
    other = decode(model, inputs, DecodingConfig(**SAMPLE, seed=2))
    assert all(found_ids(one, row) != found_ids(other, row) for row in range(4))
    assert all(len(set(found_ids(one, row))) == 3 for row in range(4)), "samples differ"


def test_a_text_has_its_own_seed_wherever_it_stands():
    model = make_model()
    inputs = np.repeat(draw_inputs(1, seed=21), 3, axis=0)
    found = decode(model, inputs, DecodingConfig(**SAMPLE), seed=[5, 6, 5])
    assert found_ids(found, 0) == found_ids(found, 2) != found_ids(found, 1)
    as_configured = decode(model, inputs[:1], DecodingConfig(**SAMPLE, seed=6))
    assert found_ids(found, 1) == found_ids(as_configured, 0)


def test_log_probabilities_of_samples_are_the_model_s():
    """Of temperature 1 and all tokens, however they were drawn."""
    model, inputs = make_model(), draw_inputs(4, seed=21)
    found = decode(model, inputs, DecodingConfig(**SAMPLE, temperature=2.0, top_k=4))
    for row in range(4):
        for place, ids in enumerate(found_ids(found, row)):
            read = (*ids, 0) if found.has_ended[row, place] else ids
            total = sum(
                model.log_probs(inputs[row], read[:at])[token] for at, token in enumerate(read)
            )
            assert found.log_probs[row, place] == pytest.approx(total, abs=2e-5)


def test_wrong_settings_of_a_text_are_told_and_refused():
    model, inputs = make_model(), draw_inputs(5, seed=21)
    rows = {
        "temperature": np.array([1.0, -1.0, np.nan, 1.0, 1.0], np.float32),
        "top_k": np.array([0, 0, 0, -3, 5], np.int32),
        "top_p": np.array([1.0, 1.0, 1.0, 1.0, 0.0], np.float32),
    }
    found = decode(model, inputs, DecodingConfig(**SAMPLE), **rows)
    np.testing.assert_array_equal(found.is_found.any(axis=1), [True] + 4 * [False])
    faults = RowSettings(**{name: tf.constant(value) for name, value in rows.items()}).faults()
    told = [
        {sentence.numpy()[row].decode() for has_it, sentence in faults if has_it.numpy()[row]}
        for row in range(5)
    ]
    assert told[0] == set()
    assert told[1] == {
        "temperature must be above 0 (top_k=1: the likeliest token). Received: -1.000000."
    }
    assert told[2] == {"temperature must be above 0 (top_k=1: the likeliest token). Received: nan."}
    assert told[3] == {"top_k must be 1 or above, or 0 for all tokens. Received: -3."}
    assert told[4] == {"top_p must be above 0 and at most 1. Received: 0.000000."}


def test_settings_of_texts_need_sampling():
    with pytest.raises(
        ValueError, match=r"seed of each text need method=sample\. Received: .*beam"
    ):
        decode(make_model(), draw_inputs(1, seed=0), DecodingConfig(max_length=10), seed=[1])
