"""Beam search beside tf-models-official's `ops.beam_search`, where both mean the same.

Scores are Wu et al.'s in both, and so is the bound by which a search ends early. The definitions
differ in one thing: there an end token counts among the 2K best of K hypotheses, here among the
first K. So in these models all hypotheses are about as likely and end at the same steps, or the
beam holds everything.
"""

import numpy as np
import pytest
import tensorflow as tf
from official.nlp.modeling.ops import beam_search

from bert_tf.config import DecodingConfig
from tests.decoding.history_model import END, START, HistoryModel, decode, draw_inputs, found_ids


def search_as_model_garden(model, inputs, *, beam_size, alpha, max_length):
    """ids (B, K, T) and scores (B, K) of the peer; a cache of the whole history, flattened."""
    memory, _ = model.begin(tf.constant(inputs))

    def next_logits(ids, position, cache):
        count = tf.shape(ids)[0]
        history = tf.concat([cache["history"], tf.cast(ids[:, -1:], tf.float32)], axis=1)
        tokens = tf.one_hot(tf.cast(history, tf.int32), model.by_age.shape[1])[:, tf.newaxis]
        places = tf.range(position)
        state = {
            "tokens": tokens[:, :, :-1],
            "places": tf.broadcast_to(places, tf.stack([count, 1, position])),
        }
        logits, _ = model.step(
            tf.cast(history[:, -1:], tf.int32), position, {"inputs": cache["inputs"]}, state
        )
        return logits[:, 0], {"history": history, "inputs": cache["inputs"]}

    return beam_search.sequence_beam_search(
        next_logits,
        initial_ids=tf.fill([len(inputs)], START),
        initial_cache={"history": tf.zeros([len(inputs), 0]), "inputs": memory["inputs"]},
        vocab_size=model.by_age.shape[1],
        beam_size=beam_size,
        alpha=alpha,
        max_decode_length=max_length,
        eos_id=END,
    )


def make_flat(seed, ends):
    """Tokens are about as likely; the logit of the end token is told by position, else -40."""
    model = HistoryModel(vocab_size=12, max_length=10, seed=seed, scale=0.2)
    for values in (model.by_age[:, :, END], model.by_position[:, END], model.by_input[:, END]):
        values[...] = 0.0
    model.by_position[:, END] = -40.0
    for position, logit in ends.items():
        model.by_position[position, END] = logit
    return model


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("alpha", "beam_size"), [(0.0, 3), (0.6, 4), (1.0, 2)])
@pytest.mark.parametrize("ends", [{3: 4.6, 6: 4.6, 8: 40.0}, {0: 1.0, 9: 40.0}, {}], ids=str)
def test_a_beam_finds_what_model_garden_does(ends, alpha, beam_size, seed):
    model, inputs = make_flat(seed, ends), draw_inputs(6, seed=seed)
    ids, scores = search_as_model_garden(
        model, inputs, beam_size=beam_size, alpha=alpha, max_length=10
    )
    config = DecodingConfig(max_length=10, beam_size=beam_size, length_penalty=alpha)
    found = decode(model, inputs, config)
    assert found.has_ended.all() == bool(ends)
    # Of what has not ended the peer tells log-probabilities without a penalty.
    of_ours = found.scores if ends else found.log_probs
    np.testing.assert_allclose(of_ours[:, 0], scores[:, 0], atol=1e-5)
    for row in range(6):
        expected = [*ids[row, 0].numpy().tolist()[1:], END]
        assert found_ids(found, row)[0] == tuple(expected[: expected.index(END)])


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_a_beam_of_all_hypotheses_ranks_answers_as_model_garden_does(alpha):
    model, inputs = HistoryModel(vocab_size=4, max_length=4, seed=9), draw_inputs(4, seed=9)
    ids, scores = search_as_model_garden(model, inputs, beam_size=120, alpha=alpha, max_length=4)
    config = DecodingConfig(max_length=4, beam_size=120, num_answers=40, length_penalty=alpha)
    found = decode(model, inputs, config)
    assert found.has_ended.all()  # 1 + 3 + 9 + 27 answers end
    np.testing.assert_allclose(found.scores, scores[:, :40], atol=1e-5)
    for row in range(4):
        for place, answer in enumerate(found_ids(found, row)):
            expected = ids[row, place].numpy().tolist()[1:]
            assert answer == tuple(expected[: expected.index(END)])
