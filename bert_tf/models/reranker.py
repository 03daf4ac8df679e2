"""BERT as a cross-encoder: how well a passage answers a query; and what it is trained by."""

from typing import Any, Literal

import tensorflow as tf
from keras import ops

from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.classifier import BertClassifier
from bert_tf.models.objective import Batch, Sums

RerankingLoss = Literal["listwise", "pairwise", "pointwise"]
_ABSENT = -1e9
"""In the place of the score of a passage that is missing: its probability is 0 exactly."""


class BertReranker(BertClassifier):
    """A score for each pair of a query and a passage.

    Inputs: the encoder's of pairs, (rows, length); or of queries with their passages, (queries,
    passages, length). Output: logits, float32 (rows, 1) or (queries, passages).

    Source: Nogueira and Cho 2019, section 3.
    """

    def call(self, inputs, training=False):
        if len(inputs["input_ids"].shape) == 2:
            return self.of_rows(inputs, training=training)
        _, num_passages, length = ops.shape(inputs["input_ids"])
        rows = {name: ops.reshape(inputs[name], (-1, length)) for name in ENCODER_INPUTS}
        return ops.reshape(self.of_rows(rows, training=training), (-1, num_passages))


class RerankingObjective:
    """A loss of a query's passages, of which the first is the right one; others may be missing.

    `listwise`: cross-entropy of the softmax over them. `pairwise`: the mean over wrong ones of
    log(1 + exp(wrong - right)). `pointwise`: the mean over passages of the binary cross-entropy, of
    one passage with its `scores`, from 0 to 1, where the batch has some.

    Reads of a batch `weights`, float32 (queries), and `has_passage`, int32 (queries, passages).

    Source: Cao et al. 2007 (listwise, with one right passage); Burges et al. 2005 (pairwise).
    """

    def __init__(self, loss: RerankingLoss) -> None:
        self._loss = loss

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"reranking": tf.reduce_sum(batch["weights"])}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        with tf.name_scope("loss"):  # by which the profiler tells it apart
            is_there = tf.cast(batch["has_passage"], tf.bool)
            compute = {
                "listwise": _listwise,
                "pairwise": _pairwise,
                "pointwise": _pointwise,
            }[self._loss]
            losses = compute(outputs, is_there, batch.get("scores"))
            found = {"reranking": tf.reduce_sum(losses * batch["weights"])}
            if "scores" in batch:
                return Sums(loss=found, correct={})
            best = tf.reduce_max(tf.where(is_there, outputs, _ABSENT), axis=1)
            is_right = tf.cast(outputs[:, 0] >= best, tf.float32)
            return Sums(
                loss=found, correct={"reranking": tf.reduce_sum(is_right * batch["weights"])}
            )


def _listwise(logits: tf.Tensor, is_there: tf.Tensor, scores: tf.Tensor | None) -> tf.Tensor:
    return tf.reduce_logsumexp(tf.where(is_there, logits, _ABSENT), axis=1) - logits[:, 0]


def _pairwise(logits: tf.Tensor, is_there: tf.Tensor, scores: tf.Tensor | None) -> tf.Tensor:
    is_wrong = tf.cast(is_there[:, 1:], tf.float32)
    losses = tf.nn.softplus(logits[:, 1:] - logits[:, :1]) * is_wrong
    return tf.math.divide_no_nan(tf.reduce_sum(losses, axis=1), tf.reduce_sum(is_wrong, axis=1))


def _pointwise(logits: tf.Tensor, is_there: tf.Tensor, scores: tf.Tensor | None) -> tf.Tensor:
    counted = tf.cast(is_there, tf.float32)
    is_first = tf.one_hot(tf.zeros_like(logits[:, 0], tf.int32), tf.shape(logits)[1])
    labels = is_first if scores is None else scores[:, tf.newaxis]
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_sum(losses * counted, axis=1) / tf.reduce_sum(counted, axis=1)
