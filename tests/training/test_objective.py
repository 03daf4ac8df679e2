"""Losses and metrics at points worked out by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.models.objective import Sums
from bert_tf.tasks.classification import ClassificationObjective
from bert_tf.training.engine.objective import PretrainingObjective, summarize, total_loss


def test_pretraining_loss_is_the_sum_of_two_means_and_ignores_weight_zero():
    # Softmax of (ln 3, 0) is (3/4, 1/4).
    logits = np.log(np.array([[[3.0, 1.0], [3.0, 1.0], [1.0, 1.0]]], np.float32))
    batch = {
        "masked_lm_ids": tf.constant([[0, 1, 0]]),
        "masked_lm_weights": tf.constant([[1.0, 1.0, 0.0]]),
        "next_sentence_labels": tf.constant([1]),
        "next_sentence_weights": tf.constant([1.0]),
    }
    outputs = {
        "masked_lm_logits": tf.constant(logits),
        "next_sentence_logits": tf.constant([[0.0, 0.0]]),
    }
    objective = PretrainingObjective()
    metrics = summarize(objective.sums(outputs, batch), objective.weights(batch))
    masked_lm = (math.log(4 / 3) + math.log(4)) / 2
    assert metrics["masked_lm_loss"] == pytest.approx(masked_lm)
    assert metrics["masked_lm_accuracy"] == 0.5
    assert metrics["masked_lm_perplexity"] == pytest.approx(math.exp(masked_lm))
    assert metrics["next_sentence_loss"] == pytest.approx(math.log(2))
    assert metrics["next_sentence_accuracy"] == 0.0
    assert metrics["loss"] == pytest.approx(masked_lm + math.log(2), rel=1e-4)


def test_the_loss_has_googles_guard_against_a_batch_without_predictions():
    assert float(total_loss({"a": 2.0}, {"a": 4.0})) == pytest.approx(2.0 / (4.0 + 1e-5))
    assert float(total_loss({"a": 0.0}, {"a": 0.0})) == 0.0


def test_a_term_without_predictions_is_left_out_of_the_metrics():
    sums = Sums(
        loss={"masked_lm": 3.0, "next_sentence": 0.0},
        correct={"masked_lm": 1.0, "next_sentence": 0.0},
    )
    metrics = summarize(sums, {"masked_lm": 2.0, "next_sentence": 0.0})
    assert "next_sentence_accuracy" not in metrics
    assert metrics["masked_lm_loss"] == 1.5


def test_classification_counts_each_real_text_once():
    batch = {"labels": tf.constant([0, 1, 1]), "weights": tf.constant([1.0, 1.0, 0.0])}
    logits = tf.constant([[2.0, 0.0], [2.0, 0.0], [0.0, 9.0]])
    objective = ClassificationObjective()
    metrics = summarize(objective.sums(logits, batch), objective.weights(batch))
    assert metrics["classification_accuracy"] == 0.5
