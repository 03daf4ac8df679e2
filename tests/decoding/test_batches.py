"""An answer depends on its text alone; where none can be given it is told, and bounded."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import DecodingConfig
from tests.decoding.history_model import (
    TOKENS,
    HistoryModel,
    decode,
    draw_inputs,
    found_ids,
    subsets,
)

METHODS = {
    "greedy": {"method": "greedy"},
    "beam": {"beam_size": 3, "num_answers": 2},
    "sample": {"method": "sample", "num_answers": 2, "top_p": 0.9},
    "rules": {"beam_size": 4, "num_answers": 4, "no_repeat_ngram_size": 2, "min_length": 2},
}
NUM_TEXTS = 5


def make_model(**settings):
    return HistoryModel(vocab_size=7, max_length=10, seed=11, end_bias=1.5, **settings)


OF_TEXTS = {
    "greedy": {"source_lengths": [9, 4, 7, 0, 5]},
    "sample": {
        "seed": [5, 2**40, 7, -1, 5],
        "temperature": [1.0, 0.5, 2.0, 0.0, 1.0],
        "top_k": [0, 3, 0, 0, 5],
        "top_p": [1.0, 1.0, 0.8, 0.5, 0.9],
    },
}


@pytest.mark.parametrize("method", METHODS)
def test_a_text_is_answered_the_same_bits_in_every_batch(method):
    of_texts = {name: np.array(values) for name, values in OF_TEXTS.get(method, {}).items()}
    of_source = {"max_extra_length": 1} if method == "greedy" else {}
    config = DecodingConfig(max_length=10, **METHODS[method], **of_source)
    model, inputs = make_model(), draw_inputs(NUM_TEXTS, seed=11)
    together = decode(model, inputs, config, in_graph=True, **of_texts)
    assert len(set(together.lengths[:, 0])) > 1, "texts end at different steps"
    for batch in subsets(NUM_TEXTS):
        of_batch = {name: values[batch] for name, values in of_texts.items()}
        found = decode(model, inputs[batch], config, in_graph=True, **of_batch)
        for name, value in found._asdict().items():
            expected = getattr(together, name)[batch]
            if name == "ids":  # as wide as the longest answer of the batch
                width = value.shape[2]
                assert np.all(expected[:, :, width:] == TOKENS.pad_id)
                expected = expected[:, :, :width]
            np.testing.assert_array_equal(value, expected, err_msg=f"{name} of {batch}")


@pytest.mark.parametrize("method", ["beam", "sample"])
def test_texts_that_are_done_are_no_longer_computed(method):
    """One long text among short ones does not keep the decoder busy with all of them."""
    numbers: list[int] = []

    class Counting(HistoryModel):
        def step(self, ids, position, memory, cache):
            numbers.append(len(ids))
            assert len(memory["inputs"]) == len(cache["tokens"]) == len(ids)
            return super().step(ids, position, memory, cache)

    config = DecodingConfig(max_length=10, max_extra_length=0, **METHODS[method])
    model = Counting(vocab_size=7, max_length=10, seed=11, end_bias=-50.0)
    inputs = draw_inputs(8, seed=11)
    lengths = np.array([2, 10, 2, 2, 4, 6, 3, 4])
    found = decode(model, inputs, config, source_lengths=lengths)
    np.testing.assert_array_equal(found.lengths[:, 0], lengths)
    # After 2 steps 5 of 8 are left, after 3 steps 4, after 4 steps 2, after 6 steps 1.
    assert numbers == [8, 8, 8, 4, 2, 2, 1, 1, 1, 1]
    for row in range(8):
        alone = decode(model, inputs[[row]], config, source_lengths=lengths[[row]])
        assert found_ids(found, row) == found_ids(alone, 0)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_batch_has_empty_answers(method):
    config = DecodingConfig(max_length=10, **METHODS[method])
    found = decode(make_model(), draw_inputs(0, seed=0), config, in_graph=True)
    assert found.ids.shape == (0, config.num_answers, 0)
    assert found.scores.shape == (0, config.num_answers)
    assert found.has_failed.shape == (0,)


@pytest.mark.parametrize("method", METHODS)
def test_a_refused_text_has_no_answer_and_changes_no_other(method):
    config = DecodingConfig(max_length=10, **METHODS[method])
    model, inputs = make_model(), draw_inputs(3, seed=11)
    found = decode(model, inputs, config, is_refused=[False, True, False])
    assert not found.is_found[1].any()
    assert not found.lengths[1].any()
    assert np.all(np.isneginf(found.scores[1]))
    assert np.all(found.ids[1] == TOKENS.pad_id)
    assert not found.has_failed.any()
    alone = decode(model, inputs[[0, 2]], config)
    np.testing.assert_array_equal(found.scores[[0, 2]], alone.scores)
    all_refused = decode(model, inputs, config, is_refused=[True, True, True])
    assert all_refused.ids.shape == (3, config.num_answers, 0)


class Broken(HistoryModel):
    """From its third step on, logits of texts that begin below 0 are `what` at one token."""

    what: float = float("nan")
    token = 5

    def step(self, ids, position, memory, cache):
        logits, cache = super().step(ids, position, memory, cache)
        is_broken = (position >= 2) & (memory["inputs"][:, 0] < 0)
        at = tf.range(logits.shape[-1]) == self.token
        return tf.where(is_broken[:, tf.newaxis, tf.newaxis] & at, self.what, logits), cache


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_told_and_end_their_text_alone(method, what):
    config = DecodingConfig(max_length=10, **METHODS[method])
    inputs = draw_inputs(6, seed=2)
    settings = {"vocab_size": 7, "max_length": 10, "seed": 12, "end_bias": -8.0}
    model = Broken(**settings)
    model.what = what
    is_broken = inputs[:, 0] < 0
    assert 0 < is_broken.sum() < 6
    found = decode(model, inputs, config)
    np.testing.assert_array_equal(found.has_failed, is_broken)
    assert not found.is_found[is_broken].any()
    sound = decode(HistoryModel(**settings), inputs, config)
    np.testing.assert_array_equal(found.scores[~is_broken], sound.scores[~is_broken])
    np.testing.assert_array_equal(found.ids[~is_broken], sound.ids[~is_broken])


@pytest.mark.parametrize("method", METHODS)
def test_no_token_of_probability_zero_is_answered(method):
    model = make_model()
    model.by_position[:, [2, 5]] = -np.inf
    config = DecodingConfig(max_length=10, **METHODS[method])
    found = decode(model, draw_inputs(NUM_TEXTS, seed=1), config)
    assert found.is_found[:, 0].all()
    assert not found.has_failed.any()
    for row in range(NUM_TEXTS):
        assert not {2, 5} & {token for ids in found_ids(found, row) for token in ids}


def test_a_beam_that_has_fewer_hypotheses_than_places_goes_on():
    model = make_model()
    model.by_position[:, 2:] = -np.inf  # token 1 and the end are left
    config = DecodingConfig(max_length=10, beam_size=5, num_answers=5)
    found = decode(model, draw_inputs(2, seed=1), config)
    answers = {(1,) * length for length in range(11)}
    for row in range(2):
        assert len(found_ids(found, row)) == 5
        assert set(found_ids(found, row)) <= answers


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_never_ends_is_cut_at_the_longest_length(method):
    model = make_model()
    model.by_position[:, TOKENS.end_id] = -np.inf
    config = DecodingConfig(max_length=6, **METHODS[method])
    found = decode(model, draw_inputs(3, seed=1), config)
    assert found.is_found.all()
    assert not found.has_ended.any()
    assert np.all(found.lengths == 6)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_a_model_that_ends_at_once_has_an_empty_answer(method):
    model = make_model()
    model.by_position[:, TOKENS.end_id] = 1e4
    config = DecodingConfig(max_length=6, **METHODS[method])
    found = decode(model, draw_inputs(3, seed=1), config)
    assert found.is_found[:, 0].all()
    assert found.has_ended[:, 0].all()
    assert not found.lengths[:, 0].any()
    np.testing.assert_array_equal(found.log_probs[:, 0], 0.0)


def test_a_text_without_a_possible_token_has_no_answer():
    """Two tokens that may each stand once, and no end before the third."""
    config = DecodingConfig(method="greedy", max_length=8, min_length=7, no_repeat_ngram_size=1)
    found = decode(make_model(), draw_inputs(2, seed=1), config)
    assert not found.is_found.any()
    assert not found.has_failed.any()


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_is_bounded_by_its_own_source(method):
    model = make_model()
    model.by_position[:, TOKENS.end_id] = -np.inf
    config = DecodingConfig(
        max_length=10, max_length_factor=1.5, max_extra_length=1, **METHODS[method]
    )
    lengths = [0, 1, 3, 5, 2**30]
    found = decode(model, draw_inputs(5, seed=1), config, source_lengths=lengths)
    for row, longest in enumerate([1, 2, 5, 8, 10]):
        assert np.all(found.lengths[row][found.is_found[row]] == longest)
        assert found.is_found[row, 0]


def test_an_empty_source_without_a_margin_has_no_answer():
    config = DecodingConfig(method="greedy", max_length=10, max_extra_length=0)
    found = decode(make_model(), draw_inputs(2, seed=1), config, source_lengths=[0, 4])
    np.testing.assert_array_equal(found.is_found[:, 0], [False, True])


@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_logits_are_searched_in_float32(method):
    class Half(HistoryModel):
        def step(self, ids, position, memory, cache):
            logits, cache = super().step(ids, position, memory, cache)
            return tf.cast(logits, tf.bfloat16), cache

    config = DecodingConfig(max_length=10, **METHODS[method])
    model = Half(vocab_size=7, max_length=10, seed=11, end_bias=1.5)
    inputs = draw_inputs(3, seed=3)
    found = decode(model, inputs, config)
    assert found.scores.dtype == np.float32
    sound = decode(make_model(), inputs, config)
    is_same = np.array([found_ids(found, row)[0] == found_ids(sound, row)[0] for row in range(3)])
    assert is_same.any()
    np.testing.assert_allclose(found.log_probs[is_same, 0], sound.log_probs[is_same, 0], atol=0.3)
