"""Scores of tokens in, labelled pieces of the text out, in the graph.

    units  Ada | Lovelace | wrote | .      tags  B-PER | I-PER | O | O
    ->     one entity: starts [0], ends [12], labels ["PER"], scores [0.98]

A unit is what has a tag, a word or a piece (see `data.batches.labelled_tokens.mark_units`). The
likeliest sequence of tags that may follow one another is taken (Viterbi 1967), by
tensorflow-text's operation, which TensorFlow Serving has.

Letters in shapes: B texts, L tokens, U units of the longest text, T tags, N units of all texts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.data.batches.labelled_tokens import UnitKind, mark_units
from bert_tf.data.token_labels.spans import Span
from bert_tf.layers.tensorflow.crf import marginals
from bert_tf.tasks.tag_set import TagSet

NAMES = ("entity_starts", "entity_ends", "entity_labels", "entity_scores")
"""Of the answers, (B, most of one text); `num_entities`, (B), says how many a text has."""


class Units(NamedTuple):
    """The units of some texts, ragged (B, (units))."""

    logits: tf.RaggedTensor
    """(B, (units), T)"""
    starts: tf.RaggedTensor
    """int32, where a unit begins in its text."""
    ends: tf.RaggedTensor
    """int32, where it ends: of a word, where its last piece does."""


def units_of(
    logits: tf.Tensor,
    *,
    starts: tf.Tensor,
    ends: tf.Tensor,
    begins_word: tf.Tensor,
    kind: UnitKind,
) -> Units:
    """The units among tokens.

    See `mark_units`. `logits`: float32 (B, L, T).
    """
    is_unit, ends = mark_units(starts, ends, begins_word, kind=kind)
    return Units(*(tf.ragged.boolean_mask(it, is_unit) for it in (logits, starts, ends)))


class Tags(NamedTuple):
    """What the units of some texts are taken for, ragged (B, (units))."""

    tags: tf.RaggedTensor
    """int32: the likeliest valid sequence."""
    probabilities: tf.RaggedTensor
    """float32: of each tag of it, whatever the others are."""


def tags_of(logits: tf.RaggedTensor, tag_set: TagSet, transitions: tf.Tensor | None = None) -> Tags:
    """The tags of units. `logits`: float32 (B, (units), T).

    `transitions`: learnt weights, float32 (T + 1, T + 1), see `layers.tensorflow.crf`. Then the
    probabilities are those over all valid sequences, else the softmax of each unit's scores.
    """
    if tag_set.scheme == "plain" and transitions is None:
        tags = tf.argmax(logits.values, axis=-1, output_type=tf.int32)
    else:
        tags = _likeliest_sequence(logits, tag_set, transitions)
    if transitions is None:
        probabilities = tf.nn.softmax(logits.values)
    else:
        lengths = tf.cast(logits.row_lengths(), tf.int32)
        valid = transitions + tag_set.penalties()
        of_rows = marginals(_padded(logits, tag_set), lengths, valid)
        probabilities = tf.boolean_mask(of_rows, tf.sequence_mask(lengths, tf.shape(of_rows)[1]))
    own = tf.gather(probabilities, tags, batch_dims=1)
    return Tags(logits.with_values(tags), logits.with_values(own))


def _likeliest_sequence(
    logits: tf.RaggedTensor, tag_set: TagSet, transitions: tf.Tensor | None
) -> tf.Tensor:
    """int32 (N,)"""
    found = tf_text.viterbi_constrained_sequence(
        _padded(logits.with_values(tf.nn.log_softmax(logits.values)), tag_set),
        sequence_length=tf.cast(logits.row_lengths(), tf.int32),
        allowed_transitions=tag_set.allowed_transitions(),
        transition_weights=transitions,
        use_log_space=True,
        use_start_and_end_states=True,
    )
    return tf.ensure_shape(found.values, [None])


def _padded(scores: tf.RaggedTensor, tag_set: TagSet) -> tf.Tensor:
    """(B, U + 1, T): with a column even where no text has a unit."""
    dense = scores.to_tensor(shape=[None, None, len(tag_set.tags)])
    return tf.pad(dense, [[0, 0], [0, 1], [0, 0]])


def entities_of(units: Units, found: Tags, tag_set: TagSet) -> dict[str, tf.Tensor]:
    """What is labelled in each text, in its order; missing ones are 0 and empty.

    `entity_starts`, `entity_ends` int32, `entity_labels` string, `entity_scores` float32, the mean
    probability of its units' tags: (B, most of one text); `num_entities` int32 (B).
    """
    flat = found.tags.values  # (N,)
    begins = tf.gather(tf.constant(tag_set.begins), flat)
    inside = tf.gather(tf.constant(tag_set.is_inside), flat)
    number = tf.cumsum(tf.cast(begins, tf.int32)) - 1  # of the entity that a unit may be of
    num_entities = tf.reduce_sum(tf.cast(begins, tf.int32))
    own = tf.boolean_mask(number, inside)
    values = {
        "entity_starts": tf.boolean_mask(units.starts.values, begins),
        "entity_ends": tf.math.unsorted_segment_max(
            tf.boolean_mask(units.ends.values, inside), own, num_entities
        ),
        "entity_labels": tf.gather(tf.constant(tag_set.label_of), tf.boolean_mask(flat, begins)),
        "entity_scores": tf.math.unsorted_segment_mean(
            tf.boolean_mask(found.probabilities.values, inside), own, num_entities
        ),
    }
    rows = tf.boolean_mask(found.tags.value_rowids(), begins)
    ragged = {
        name: tf.RaggedTensor.from_value_rowids(it, rows, found.tags.nrows(), validate=False)
        for name, it in values.items()
    }
    lengths = ragged["entity_starts"].row_lengths()
    return {
        **{name: it.to_tensor() for name, it in ragged.items()},
        "num_entities": tf.cast(lengths, tf.int32),
    }


def spans_of(answers: Mapping[str, np.ndarray]) -> list[tuple[Span, ...]]:
    """The answers to B examples as spans of each."""
    names = (*NAMES, "num_entities")
    rows = zip(*(answers[name] for name in names), strict=True)
    return [tuple(scored_spans(dict(zip(names, row, strict=True)))) for row in rows]


def scored_spans(answer: Mapping[str, Any]) -> dict[Span, float]:
    """The answer to one example: its spans in their order, and the score of each."""
    starts, ends, labels, scores = (answer[name][: answer["num_entities"]] for name in NAMES)
    return {
        Span(int(start), int(end), label.decode() if isinstance(label, bytes) else str(label)): (
            float(score)
        )
        for start, end, label, score in zip(starts, ends, labels, scores, strict=True)
    }
