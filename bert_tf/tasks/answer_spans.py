"""Scores of tokens as an answer's first and last in, the best answers out, in the graph.

The score of an answer is the probability of its first token times that of its last, over all tokens
of the document and [CLS], which stands for no answer.

Source: Devlin et al. 2019, sections 4.2 and 4.3; one distribution over a document's windows:
Clark and Gardner 2018, section 3.3 ("shared-norm").

Letters in shapes: B documents, L tokens ([CLS] the first), D tokens of the longest answer, N best.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

IMPOSSIBLE = -1e9
"""Added to the logits of what is no token of the document; far from float32's limits."""
NOTHING_ELSE = 1000.0
"""A margin that no two answers have."""
N_BEST = ("n_best_starts", "n_best_ends", "n_best_scores")
"""Of the answers, (B, N): 0 where there are fewer."""


class LogProbabilities(NamedTuple):
    """Of each token as first and as last of the answer; [CLS] at 0: no answer. float32 (B, L)."""

    starts: tf.Tensor
    ends: tf.Tensor


def log_probabilities(outputs: Mapping[str, tf.Tensor]) -> LogProbabilities:
    """Of `logits` (B, L, 2) and the places of tokens, as of `BertQuestionAnswerer`."""
    is_token = _is_candidate(outputs)
    logits = tf.cast(outputs["logits"], tf.float32)
    logits += tf.where(is_token, 0.0, IMPOSSIBLE)[..., tf.newaxis]
    return LogProbabilities(*tf.unstack(tf.nn.log_softmax(logits, axis=1), axis=-1))


def _is_candidate(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """bool (B, L): tokens of the document, and [CLS]."""
    starts, ends = outputs["token_starts"], outputs["token_ends"]
    return (starts < ends) | (tf.range(tf.shape(starts)[1]) == 0)


def best_answers(
    outputs: Mapping[str, tf.Tensor], *, num_best: int, max_answer_tokens: int
) -> dict[str, tf.Tensor]:
    """The best answers of each document, whether or not no answer is better.

    `N_BEST`: places in the text, int32 (B, N), and probabilities, float32. Of each document,
    float32 (B): `no_answer_score`, the probability of no answer, and `no_answer_margin`, its
    logarithm less that of the best answer; `NOTHING_ELSE` where the document has no token.
    """
    starts, ends = log_probabilities(outputs)
    length = tf.shape(starts)[1]
    # The [CLS] column begins and ends no answer; L columns of starts, D ends of each.
    begins = tf.concat([tf.fill([tf.shape(starts)[0], 1], IMPOSSIBLE), starts[:, 1:]], axis=1)
    beyond = tf.pad(ends, [[0, 0], [0, max_answer_tokens]], constant_values=IMPOSSIBLE)
    columns = tf.range(length)[:, tf.newaxis] + tf.range(max_answer_tokens)  # (L, D)
    pairs = begins[..., tf.newaxis] + tf.gather(beyond, columns, axis=1)  # (B, L, D)
    flat = tf.reshape(pairs, [tf.shape(pairs)[0], length * max_answer_tokens])
    flat = tf.pad(flat, [[0, 0], [0, num_best]], constant_values=IMPOSSIBLE)
    scores, chosen = tf.math.top_k(flat, k=num_best)
    is_answer = scores > IMPOSSIBLE / 2
    first = tf.where(is_answer, chosen // max_answer_tokens, 0)
    last = tf.where(is_answer, first + chosen % max_answer_tokens, 0)
    no_answer = starts[:, 0] + ends[:, 0]
    return {
        "n_best_starts": _places(outputs["token_starts"], first, is_answer),
        "n_best_ends": _places(outputs["token_ends"], last, is_answer),
        "n_best_scores": tf.where(is_answer, tf.exp(scores), 0.0),
        "no_answer_score": tf.exp(no_answer),
        "no_answer_margin": tf.where(is_answer[:, 0], no_answer - scores[:, 0], NOTHING_ELSE),
    }


def _places(places: tf.Tensor, columns: tf.Tensor, is_answer: tf.Tensor) -> tf.Tensor:
    return tf.where(is_answer, tf.gather(places, columns, axis=1, batch_dims=1), 0)


class Answered(NamedTuple):
    """The answer to one question; start and end are the same where there is none."""

    start: int
    end: int
    score: float


def answered(answer: Mapping[str, Any]) -> Answered:
    """Of the answers to one example."""
    return Answered(int(answer["start"]), int(answer["end"]), float(answer["score"]))


def ranked(answer: Mapping[str, Any]) -> dict[tuple[int, int], float]:
    """Of the answers to one example the best places and their scores, without the missing ones."""
    rows = zip(*(np.asarray(answer[name]).tolist() for name in N_BEST), strict=True)
    return {(start, end): score for start, end, score in rows if start < end}
