"""Scores of tokens to answers, in the graph, beside plain loops over every span."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.tasks.answer_spans import NOTHING_ELSE, best_answers, log_probabilities
from bert_tf.tasks.question_answering import AnswerObjective

NUM_TOKENS = (6, 0, 1, 9)
LENGTH = 12


def random_outputs(seed: int) -> dict[str, tf.Tensor]:
    """Of `[CLS] context [SEP]`: tokens of two characters with a space between them."""
    draw = np.random.default_rng(seed)
    starts = np.zeros((len(NUM_TOKENS), LENGTH), np.int32)
    ends = np.zeros_like(starts)
    for row, number in enumerate(NUM_TOKENS):
        starts[row, 1 : 1 + number] = 3 * np.arange(number)
        ends[row, 1 : 1 + number] = 3 * np.arange(number) + 2
    logits = draw.normal(scale=3.0, size=(len(NUM_TOKENS), LENGTH, 2)).astype(np.float32)
    return {
        "logits": tf.constant(logits),
        "token_starts": tf.constant(starts),
        "token_ends": tf.constant(ends),
    }


def distributions(outputs: dict[str, tf.Tensor], row: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of [CLS] and the tokens of a row, as first and as last."""
    logits = outputs["logits"].numpy()[row, : 1 + NUM_TOKENS[row]].astype(np.float64)
    found = logits - np.log(np.exp(logits).sum(axis=0))
    return found[:, 0], found[:, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("num_best", "max_answer_tokens"), [(1, 30), (4, 3), (60, 9)])
def test_answers_are_the_best_of_all_spans(
    seed: int, num_best: int, max_answer_tokens: int
) -> None:
    outputs = random_outputs(seed)
    found = best_answers(outputs, num_best=num_best, max_answer_tokens=max_answer_tokens)
    for row, number in enumerate(NUM_TOKENS):
        starts, ends = distributions(outputs, row)
        spans = [
            (starts[first] + ends[last], 3 * (first - 1), 3 * (last - 1) + 2)
            for first in range(1, 1 + number)
            for last in range(first, min(first + max_answer_tokens, 1 + number))
        ]
        spans = sorted(spans, reverse=True)[:num_best]
        padding = [0] * (num_best - len(spans))
        assert found["n_best_starts"][row].numpy().tolist() == [it[1] for it in spans] + padding
        assert found["n_best_ends"][row].numpy().tolist() == [it[2] for it in spans] + padding
        expected = [np.exp(it[0]) for it in spans] + padding
        np.testing.assert_allclose(found["n_best_scores"][row], expected, rtol=1e-4, atol=1e-6)
        margin = starts[0] + ends[0] - spans[0][0] if spans else NOTHING_ELSE
        assert found["no_answer_margin"][row].numpy() == pytest.approx(margin, rel=1e-4, abs=1e-4)


def make_batch(answers: list[list[tuple[int, int]]]) -> dict[str, tf.Tensor]:
    """`answers`: of each row the columns of its answers' first and last tokens."""
    columns = np.full((len(answers), max(map(len, answers)), 2), -1, np.int32)
    for row, own in enumerate(answers):
        columns[row, : len(own)] = np.array(own, np.int32).reshape(-1, 2)
    return {
        "first_columns": tf.constant(columns[..., 0]),
        "last_columns": tf.constant(columns[..., 1]),
        "weights": tf.ones(len(answers)),
    }


def test_the_loss_is_the_cross_entropy_of_the_first_and_the_last_token() -> None:
    """[CLS] is the label of no answer; of several answers the probabilities are added up."""
    outputs = random_outputs(7)
    answers = [[(1, 2), (4, 6)], [(0, 0)], [], [(3, 5)]]
    batch = make_batch(answers)
    objective = AnswerObjective()
    assert objective.weights(batch)["answers"] == 3.0
    expected = 0.0
    for row in (0, 1, 3):
        starts, ends = distributions(outputs, row)
        expected -= np.log(sum(np.exp(starts[it] + ends[to]) for it, to in answers[row])) / 2
    assert objective.sums(outputs, batch).loss["answers"].numpy() == pytest.approx(expected, 1e-5)


def test_what_cannot_be_an_answer_has_no_gradient() -> None:
    outputs = random_outputs(8)
    batch = make_batch([[(1, 2)], [(0, 0)], [(1, 1)], []])
    with tf.GradientTape() as tape:
        tape.watch(outputs["logits"])
        loss = AnswerObjective().sums(outputs, batch).loss["answers"]
    gradient = tape.gradient(loss, outputs["logits"]).numpy()
    assert np.isfinite(gradient).all()
    for row, number in enumerate(NUM_TOKENS):
        assert not gradient[row, 1 + number :].any()
    assert gradient[0, : 1 + NUM_TOKENS[0]].all()
    assert not gradient[3].any()


def test_right_is_what_has_the_first_and_the_last_token_of_one_answer() -> None:
    outputs = random_outputs(9)
    best = [tf.argmax(side, axis=1).numpy().tolist() for side in log_probabilities(outputs)]
    answers = [[(first, last)] for first, last in zip(*best, strict=True)]
    right = AnswerObjective().sums(outputs, make_batch(answers)).correct["answers"]
    assert right.numpy() == 4.0
    (first, last), other = answers[0][0], 5
    assert other not in (first, last)
    answers[0] = [(first, other), (other, last)]
    right = AnswerObjective().sums(outputs, make_batch(answers)).correct["answers"]
    assert right.numpy() == 3.0
