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


def tags_of(
    logits: tf.RaggedTensor, tag_set: TagSet, transitions: tf.Tensor | None = None
) -> tf.RaggedTensor:
    """int32 (B, (units)): the likeliest valid sequence. `logits`: float32 (B, (units), T).

    `transitions`: learnt weights, float32 (T + 1, T + 1), see `layers.tensorflow.crf`.
    """
    if tag_set.scheme == "plain" and transitions is None:
        return logits.with_values(tf.argmax(logits.values, axis=-1, output_type=tf.int32))
    scores = tf.nn.log_softmax(logits.values)
    dense = logits.with_values(scores).to_tensor(shape=[None, None, len(tag_set.tags)])
    lengths = tf.cast(logits.row_lengths(), tf.int32)
    found = tf_text.viterbi_constrained_sequence(
        tf.pad(dense, [[0, 0], [0, 1], [0, 0]]),  # a column, where no text has a unit
        sequence_length=lengths,
        allowed_transitions=tag_set.allowed_transitions(),
        transition_weights=transitions,
        use_log_space=True,
        use_start_and_end_states=True,
    )
    return logits.with_values(tf.ensure_shape(found.values, [None]))


def entities_of(units: Units, tags: tf.RaggedTensor, tag_set: TagSet) -> dict[str, tf.Tensor]:
    """What is labelled in each text, in its order; missing ones are 0 and empty.

    `entity_starts`, `entity_ends` int32, `entity_labels` string, `entity_scores` float32, the mean
    probability of its units' tags: (B, most of one text); `num_entities` int32 (B).
    """
    flat = tags.values  # (N,)
    begins = tf.gather(tf.constant(tag_set.begins), flat)
    inside = tf.gather(tf.constant(tag_set.is_inside), flat)
    number = tf.cumsum(tf.cast(begins, tf.int32)) - 1  # of the entity that a unit may be of
    num_entities = tf.reduce_sum(tf.cast(begins, tf.int32))
    own = tf.boolean_mask(number, inside)
    probabilities = tf.gather(tf.nn.softmax(units.logits.values), flat, batch_dims=1)
    values = {
        "entity_starts": tf.boolean_mask(units.starts.values, begins),
        "entity_ends": tf.math.unsorted_segment_max(
            tf.boolean_mask(units.ends.values, inside), own, num_entities
        ),
        "entity_labels": tf.gather(tf.constant(tag_set.label_of), tf.boolean_mask(flat, begins)),
        "entity_scores": tf.math.unsorted_segment_mean(
            tf.boolean_mask(probabilities, inside), own, num_entities
        ),
    }
    rows = tf.boolean_mask(tags.value_rowids(), begins)
    ragged = {
        name: tf.RaggedTensor.from_value_rowids(it, rows, tags.nrows(), validate=False)
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
