"""Sequences of tags as a linear chain, whose transitions have weights: their likelihood.

    score of a sequence = its tags' scores + weights of start -> tag, tag -> tag, tag -> end
    log-likelihood      = its score - the logarithm of the sum over all sequences of exp(score)
    marginal of a tag   = the share that sequences with it there have in that sum

Source: Lafferty et al. 2001; on a network's scores Lample et al. 2016, section 2.2.

Letters in shapes: B texts, U units of the longest text, T tags.
"""

import tensorflow as tf


def log_likelihood(
    scores: tf.Tensor, tags: tf.Tensor, lengths: tf.Tensor, transitions: tf.Tensor
) -> tf.Tensor:
    """float32 (B): 0 of a text without units.

    Args:
        scores: float32 (B, U, T).
        tags: int32 (B, U); what is beyond a text's units is not read.
        lengths: int32 (B), units of each text.
        transitions: float32 (T + 1, T + 1), from the row's tag to the column's. The last row is the
            start of a text, the last column its end.
    """
    found = _score(scores, tags, lengths, transitions) - _log_sum(scores, lengths, transitions)
    return tf.where(lengths > 0, found, 0.0)


def _score(
    scores: tf.Tensor, tags: tf.Tensor, lengths: tf.Tensor, transitions: tf.Tensor
) -> tf.Tensor:
    is_unit = tf.sequence_mask(lengths, tf.shape(tags)[1])
    end = tf.fill(tf.shape(tags), transitions.shape[0] - 1)
    tags = tf.where(is_unit, tags, end)
    own = tf.gather(scores, tf.minimum(tags, scores.shape[2] - 1), axis=2, batch_dims=2)
    before = tf.concat([end[:, :1], tags], axis=1)  # the start has the end's number
    after = tf.concat([tags, end[:, :1]], axis=1)
    steps = tf.gather_nd(transitions, tf.stack([before, after], axis=2))  # (B, U + 1)
    is_step = tf.sequence_mask(lengths + 1, tf.shape(steps)[1])
    return tf.reduce_sum(tf.where(is_unit, own, 0.0), axis=1) + tf.reduce_sum(
        tf.where(is_step, steps, 0.0), axis=1
    )


def marginals(scores: tf.Tensor, lengths: tf.Tensor, transitions: tf.Tensor) -> tf.Tensor:
    """Probabilities of each unit's tags over all sequences, float32 (B, U, T).

    Arguments as of `log_likelihood`. What is beyond a text's units means nothing.

    Source: the forward-backward algorithm, Rabiner 1989, section III.A.
    """
    before = _sums_before(scores, lengths, transitions)[:-1]
    after = _sums_after(scores, lengths, transitions)
    return tf.transpose(tf.nn.softmax(before + after), [1, 0, 2])


def _log_sum(scores: tf.Tensor, lengths: tf.Tensor, transitions: tf.Tensor) -> tf.Tensor:
    """Over all sequences of tags."""
    last = _sums_before(scores, lengths, transitions)[-1]
    return tf.reduce_logsumexp(last + transitions[:-1, -1], axis=1)


def _sums_before(scores: tf.Tensor, lengths: tf.Tensor, transitions: tf.Tensor) -> tf.Tensor:
    """Over all sequences that end with a unit's tag, (U + 1, B, T).

    Behind a text's units its last one's: so is the last of all.
    """
    first = scores[:, 0] + transitions[-1, :-1]
    between = transitions[:-1, :-1]

    def step(sums: tf.Tensor, unit: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        own, is_unit = unit
        new = tf.reduce_logsumexp(sums[:, :, tf.newaxis] + between, axis=1) + own
        return tf.where(is_unit[:, tf.newaxis], new, sums)

    later = tf.scan(step, _later_units(scores, lengths), initializer=first)
    return tf.concat([first[tf.newaxis], later], axis=0)


def _sums_after(scores: tf.Tensor, lengths: tf.Tensor, transitions: tf.Tensor) -> tf.Tensor:
    """Over all that may follow a unit's tag, the end included, (U, B, T)."""
    between = transitions[:-1, :-1]
    last = tf.zeros_like(scores[:, 0]) + transitions[:-1, -1]

    def step(sums: tf.Tensor, unit: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        own, is_unit = unit
        new = tf.reduce_logsumexp(between + (own + sums)[:, tf.newaxis], axis=2)
        return tf.where(is_unit[:, tf.newaxis], new, sums)

    return tf.scan(step, _later_units(scores, lengths), initializer=last, reverse=True)


def _later_units(scores: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """All but the first of each text, and one that is none: a scan needs one.

    Scores (U, B, T), and which are units, (U, B).
    """
    is_unit = tf.sequence_mask(lengths, tf.shape(scores)[1] + 1)
    scores = tf.pad(scores[:, 1:], [[0, 0], [0, 1], [0, 0]])
    return tf.transpose(scores, [1, 0, 2]), tf.transpose(is_unit[:, 1:])
