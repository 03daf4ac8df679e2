"""Beam search beside all answers that there are, counted one by one."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import DecodingConfig
from bert_tf.decoding.beam import BeamSearch, _best_longer
from bert_tf.decoding.length_penalty import length_penalties
from bert_tf.decoding.log_probabilities import NextTokens
from bert_tf.decoding.row_settings import RowSettings, fill_in
from bert_tf.decoding.rules import Rules
from tests.decoding.history_model import (
    TOKENS,
    HistoryModel,
    decode,
    draw_inputs,
    every_answer,
    found_ids,
)

VOCABULARY, LONGEST = 4, 4
ALL = VOCABULARY**LONGEST


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"length_penalty": 0.0},
        {"length_penalty": 2.0, "ends_early": False},
        {"min_length": 2},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2, "min_length": 3},
    ],
    ids=str,
)
def test_a_beam_of_all_hypotheses_finds_the_best_of_all_answers(settings, seed):
    config = DecodingConfig(max_length=LONGEST, beam_size=ALL, num_answers=40, **settings)
    model = HistoryModel(vocab_size=VOCABULARY, max_length=LONGEST, seed=seed)
    inputs = draw_inputs(3, seed=seed)
    found = decode(model, inputs, config)
    for row in range(3):
        expected = every_answer(model, inputs[row], config)[: config.num_answers]
        assert found_ids(found, row) == [answer.ids for answer in expected]
        for name, values in (
            ("log_probs", [answer.log_prob for answer in expected]),
            ("scores", [answer.score for answer in expected]),
        ):
            of_row = getattr(found, name)[row]
            np.testing.assert_allclose(of_row[: len(values)], values, rtol=1e-5, atol=1e-5)
            assert np.all(np.isneginf(of_row[len(values) :])), "no answer has a score"
        has_ended = [answer.has_ended for answer in expected]
        assert found.has_ended[row].tolist()[: len(has_ended)] == has_ended


def test_a_vocabulary_of_two_is_searched_whole():
    config = DecodingConfig(max_length=5, beam_size=8, num_answers=6, length_penalty=1.0)
    model = HistoryModel(vocab_size=2, max_length=5, seed=3)
    inputs = draw_inputs(4, seed=3)
    found = decode(model, inputs, config)
    for row in range(4):
        expected = every_answer(model, inputs[row], config)
        assert len(expected) == 6  # 0 to 4 tokens and an end, or 5 tokens
        assert found_ids(found, row) == [answer.ids for answer in expected]


@pytest.mark.parametrize("beam_size", [2, 3, 5])
def test_scores_of_a_narrow_beam_are_those_of_the_full_pass(beam_size):
    """So each hypothesis had the cache of its own history, wherever it stood in the beam."""
    config = DecodingConfig(
        max_length=9, beam_size=beam_size, num_answers=beam_size, length_penalty=0.8
    )
    model = HistoryModel(vocab_size=7, max_length=9, seed=4, scale=0.7)
    inputs = draw_inputs(6, seed=4)
    found = decode(model, inputs, config)
    assert found.is_found.all()
    for row in range(6):
        for place, ids in enumerate(found_ids(found, row)):
            has_ended = found.has_ended[row, place]
            read = (*ids, TOKENS.end_id) if has_ended else ids
            total = sum(
                model.log_probs(inputs[row], read[:place])[token]
                for place, token in enumerate(read)
            )
            assert found.log_probs[row, place] == pytest.approx(total, abs=2e-5)
            score = total / ((5 + len(read)) / 6) ** 0.8
            assert found.scores[row, place] == pytest.approx(score, abs=2e-5)
        assert len(set(found_ids(found, row))) == beam_size, "no answer stands twice"


def test_a_narrow_beam_tells_no_better_score_than_there_is():
    model = HistoryModel(vocab_size=VOCABULARY, max_length=LONGEST, seed=5)
    inputs = draw_inputs(5, seed=5)
    whole = DecodingConfig(max_length=LONGEST, beam_size=ALL)
    best = decode(model, inputs, whole).scores[:, 0]
    narrow = decode(model, inputs, DecodingConfig(max_length=LONGEST, beam_size=2))
    is_ended = narrow.has_ended[:, 0]
    assert np.all(narrow.scores[is_ended, 0] <= best[is_ended])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.5])
def test_an_early_end_changes_no_answer(length_penalty, seed):
    model = HistoryModel(vocab_size=6, max_length=12, seed=seed, end_bias=2.0)
    inputs = draw_inputs(12, seed=seed)
    settings = {
        "max_length": 12,
        "beam_size": 3,
        "num_answers": 2,
        "length_penalty": length_penalty,
    }
    early = decode(model, inputs, DecodingConfig(**settings))
    late = decode(model, inputs, DecodingConfig(**settings, ends_early=False))
    assert early.has_ended[:, -1].any(), "no text could end early"
    for name, value in early._asdict().items():
        np.testing.assert_array_equal(value, getattr(late, name), err_msg=name)


def test_an_early_end_takes_fewer_steps():
    steps: list[int] = []

    class Counting(HistoryModel):
        def step(self, ids, position, memory, cache):
            steps.append(int(position))
            return super().step(ids, position, memory, cache)

    model = Counting(vocab_size=6, max_length=30, seed=1, end_bias=6.0)
    counts = {}
    for ends_early in (True, False):
        steps.clear()
        config = DecodingConfig(max_length=30, beam_size=3, ends_early=ends_early)
        decode(model, draw_inputs(3, seed=1), config)
        counts[ends_early] = len(steps)
    assert counts[True] < counts[False] == 30


def run_beam(model, inputs, *, beam_size, max_length):
    """Also of one hypothesis, for which `search` takes greedy search."""
    config = DecodingConfig(max_length=max_length, beam_size=2, length_penalty=0.0)
    memory, cache = model.begin(tf.constant(inputs))
    search = BeamSearch(
        decoder=model,
        rules=Rules.of(config, TOKENS),
        penalties=length_penalties(0.0, max_length=max_length),
        max_length=max_length,
        num_answers=1,
        beam_size=beam_size,
        ends_early=True,
    )
    rows = fill_in(RowSettings(), config=config, batch_size=len(inputs))
    return search.run(memory, cache, rows)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy(seed):
    model = HistoryModel(vocab_size=5, max_length=8, seed=seed, scale=1.0, end_bias=2.0)
    inputs = draw_inputs(16, seed=seed)
    of_beam = run_beam(model, inputs, beam_size=1, max_length=8)
    greedy = decode(model, inputs, DecodingConfig(method="greedy", max_length=8))
    assert greedy.has_ended.any(), "ends are looked at"
    for name, value in greedy._asdict().items():
        np.testing.assert_array_equal(value, getattr(of_beam, name), err_msg=name)


def test_a_beam_size_of_one_is_greedy_with_a_penalty_too():
    model = HistoryModel(vocab_size=5, max_length=8, seed=0)
    inputs = draw_inputs(16, seed=0)
    greedy = decode(model, inputs, DecodingConfig(method="greedy", max_length=8))
    of_beam = decode(model, inputs, DecodingConfig(beam_size=1, max_length=8))
    np.testing.assert_array_equal(greedy.ids, of_beam.ids)
    tokens = greedy.lengths + greedy.has_ended
    np.testing.assert_allclose(of_beam.scores, greedy.log_probs / ((5 + tokens) / 6) ** 0.6, 1e-5)


@pytest.mark.parametrize("vocab_size", [3, 16, 40, 1000])
@pytest.mark.parametrize(
    "num_values", [2, 7, 10**6], ids=["many equal", "some equal", "all differ"]
)
def test_the_best_of_blocks_are_the_best_of_all(num_values, vocab_size):
    """The same totals, and of equal ones the same hypotheses and tokens, as sorting them all."""
    numbers = np.random.default_rng(vocab_size)
    logits = numbers.integers(0, num_values, (6, 4, vocab_size)) * (9.0 / num_values)
    logits[0, :, ::2] = -np.inf
    is_alive = np.ones((6, 4), bool)
    is_alive[1, 1:] = False
    log_probs = np.where(is_alive, -numbers.integers(0, 3, (6, 4)), -np.inf).astype(np.float32)
    scored = NextTokens.of(tf.constant(logits, tf.float32), tf.constant(is_alive))
    found = _best_longer(tf.constant(log_probs), scored)

    totals = log_probs[..., np.newaxis] + scored.log_probs().numpy()
    width = totals.shape[2]
    places = np.argsort(-totals.reshape(6, -1), axis=1, kind="stable")[:, :8]
    np.testing.assert_array_equal(found.parents, places // width)
    np.testing.assert_array_equal(found.tokens, places % width)
    np.testing.assert_array_equal(
        found.log_probs, np.take_along_axis(totals.reshape(6, -1), places, axis=1)
    )
