"""The log-likelihood of tags, beside sums over every sequence there is."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.layers.tensorflow.crf import log_likelihood, marginals

NUM_TAGS = 3
LENGTHS = (4, 1, 0, 3)


def draw(seed: int) -> tuple[np.ndarray, ...]:
    numbers = np.random.default_rng(seed)
    scores = numbers.normal(size=(len(LENGTHS), max(LENGTHS), NUM_TAGS)).astype(np.float32)
    transitions = numbers.normal(size=(NUM_TAGS + 1, NUM_TAGS + 1)).astype(np.float32)
    tags = numbers.integers(0, NUM_TAGS, size=scores.shape[:2]).astype(np.int32)
    return scores, tags, np.array(LENGTHS, np.int32), transitions


def score(scores: np.ndarray, tags: tuple[int, ...], transitions: np.ndarray) -> float:
    path = [NUM_TAGS, *tags, NUM_TAGS]
    own = sum(float(scores[unit, tag]) for unit, tag in enumerate(tags))
    return own + sum(float(transitions[a, b]) for a, b in itertools.pairwise(path))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_all_sequences_counted_one_by_one(seed: int) -> None:
    scores, tags, lengths, transitions = draw(seed)
    found = log_likelihood(*map(tf.constant, (scores, tags, lengths, transitions)))
    for row, length in enumerate(LENGTHS):
        sequences = itertools.product(range(NUM_TAGS), repeat=length)
        total = sum(np.exp(score(scores[row], it, transitions)) for it in sequences)
        own = score(scores[row], tuple(tags[row, :length]), transitions)
        expected = own - np.log(total) if length else 0.0
        assert found[row].numpy() == pytest.approx(expected, abs=1e-5)


def test_the_gradient_is_what_the_tags_have_less_what_is_expected() -> None:
    scores, tags, lengths, transitions = map(tf.constant, draw(7))
    with tf.GradientTape() as tape:
        tape.watch([scores, transitions])
        loss = -tf.reduce_sum(log_likelihood(scores, tags, lengths, transitions))
    of_scores, of_transitions = tape.gradient(loss, [scores, transitions])
    for row, length in enumerate(LENGTHS):
        expected = np.zeros((max(LENGTHS), NUM_TAGS))
        total = 0.0
        for sequence in itertools.product(range(NUM_TAGS), repeat=length):
            weight = np.exp(score(scores[row].numpy(), sequence, transitions.numpy()))
            total += weight
            for unit, tag in enumerate(sequence):
                expected[unit, tag] += weight
        expected /= total
        for unit in range(length):
            expected[unit, tags[row, unit]] -= 1.0
        np.testing.assert_allclose(of_scores[row], expected, atol=1e-5)
    numbers = np.random.default_rng(8)
    change = numbers.normal(size=transitions.shape).astype(np.float32) * 1e-2
    moved = [
        -tf.reduce_sum(log_likelihood(scores, tags, lengths, transitions + sign * change))
        for sign in (1.0, -1.0)
    ]
    along = float(tf.reduce_sum(of_transitions * change))
    assert float(moved[0] - moved[1]) / 2 == pytest.approx(along, rel=1e-2, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_marginals_are_those_of_all_sequences_counted_one_by_one(seed: int) -> None:
    scores, _, lengths, transitions = draw(seed)
    found = marginals(*map(tf.constant, (scores, lengths, transitions))).numpy()
    for row, length in enumerate(LENGTHS):
        expected = np.zeros((length, NUM_TAGS))
        for sequence in itertools.product(range(NUM_TAGS), repeat=length):
            for unit, tag in enumerate(sequence):
                expected[unit, tag] += np.exp(score(scores[row], sequence, transitions))
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[row, :length], expected, atol=1e-5)


@pytest.mark.parametrize("num_texts", [0, 2])
def test_texts_of_no_or_one_unit_are_computed_in_a_graph(num_texts: int) -> None:
    transitions = tf.constant(draw(3)[3])

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, NUM_TAGS]), tf.TensorSpec([None], tf.int32)]
    )
    def compute(scores: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tags = tf.zeros(tf.shape(scores)[:2], tf.int32)
        found = log_likelihood(scores, tags, lengths, transitions)
        return found, marginals(scores, lengths, transitions)

    likelihoods, found = compute(
        tf.zeros([num_texts, 1, NUM_TAGS]), tf.constant([0, 1][:num_texts], tf.int32)
    )
    assert likelihoods.shape == (num_texts,)
    np.testing.assert_allclose(tf.reduce_sum(found, axis=2), np.ones((num_texts, 1)), rtol=1e-6)


def test_the_likeliest_sequence_is_the_one_that_tensorflow_text_finds() -> None:
    scores, _, lengths, transitions = draw(9)
    found = tf_text.viterbi_constrained_sequence(
        tf.constant(scores),
        sequence_length=tf.constant(lengths),
        allowed_transitions=tf.ones_like(transitions, tf.bool),
        transition_weights=tf.constant(transitions),
        use_log_space=True,
        use_start_and_end_states=True,
    ).to_list()
    for row, length in enumerate(LENGTHS):
        sequences = list(itertools.product(range(NUM_TAGS), repeat=length))
        best = max(sequences, key=lambda it: score(scores[row], it, transitions))
        assert tuple(found[row]) == best
