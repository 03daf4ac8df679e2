"""Our pretraining model against keras-nlp's and tf-models-official's, same weights, float32."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.models.folder import ModelDescription, build_model
from tests.references import (
    ARCHITECTURE,
    keras_nlp_backbone,
    keras_nlp_masked_lm_head,
    model_garden_pretrainer,
    random_batch,
    randomize,
)

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def model():
    description = ModelDescription(kind="pretraining", architecture=ARCHITECTURE, max_seq_length=20)
    return build_model(description)


@pytest.fixture(scope="module")
def weights(model):
    return randomize(model)


@pytest.fixture(scope="module")
def batch():
    return random_batch()


def _theirs(batch):
    return {
        "input_word_ids": batch["input_ids"],
        "input_mask": batch["input_mask"],
        "input_type_ids": batch["segment_ids"],
        "masked_lm_positions": batch["masked_lm_positions"],
    }


def test_encoder_equals_keras_nlp(model, weights, batch):
    backbone = keras_nlp_backbone(weights)
    expected = backbone(
        {
            "token_ids": batch["input_ids"],
            "padding_mask": batch["input_mask"],
            "segment_ids": batch["segment_ids"],
        }
    )
    outputs = model.encoder(batch)
    is_token = batch["input_mask"].astype(bool)
    for name in ("sequence_output", "pooled_output"):
        ours, theirs = np.asarray(outputs[name]), np.asarray(expected[name])
        if name == "sequence_output":
            ours, theirs = ours[is_token], theirs[is_token]
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)


def test_masked_lm_head_equals_keras_nlp(model, weights, batch):
    backbone = keras_nlp_backbone(weights)
    head = keras_nlp_masked_lm_head(weights, backbone.token_embedding)
    sequence = model.encoder(batch)["sequence_output"]
    expected = head(sequence, mask_positions=batch["masked_lm_positions"])
    outputs = model(batch)["masked_lm_logits"]
    np.testing.assert_allclose(np.asarray(outputs), np.asarray(expected), **TOLERANCE)


def test_pretrainer_equals_model_garden(model, weights, batch):
    expected = model_garden_pretrainer(weights)(_theirs(batch))
    outputs = model(batch)
    encoded = model.encoder(batch)
    is_token = batch["input_mask"].astype(bool)
    for ours, theirs in (
        (encoded["sequence_output"].numpy()[is_token], expected["sequence_output"][is_token]),
        (outputs["masked_lm_logits"], expected["mlm_logits"]),
        (outputs["next_sentence_logits"], expected["next_sentence"]),
    ):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), **TOLERANCE)


def test_gradients_in_training_equal_model_garden(model, weights, batch):
    reference = model_garden_pretrainer(weights)

    def loss_of(masked_lm_logits, next_sentence_logits):
        return tf.reduce_mean(tf.nn.log_softmax(masked_lm_logits)[..., 7]) + tf.reduce_mean(
            tf.nn.log_softmax(next_sentence_logits)[..., 1]
        )

    table = model.encoder.embeddings.word_embeddings.embeddings.value
    dense = model.encoder.transformer_layers[0].intermediate.kernel.value
    with tf.GradientTape() as tape:
        outputs = model(batch, training=True)
        loss = loss_of(outputs["masked_lm_logits"], outputs["next_sentence_logits"])
    ours = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [table, dense])]
    named = {weight.name: weight for weight in reference.trainable_weights}
    with tf.GradientTape() as tape:
        expected = reference(_theirs(batch), training=True)
        expected_loss = loss_of(expected["mlm_logits"], expected["next_sentence"])
    theirs = tape.gradient(
        expected_loss,
        [
            named["bert_encoder_v2/word_embeddings/embeddings:0"],
            named["bert_encoder_v2/transformer/layer_0/intermediate/kernel:0"],
        ],
    )
    np.testing.assert_allclose(float(loss), float(expected_loss), rtol=1e-6)
    for our_gradient, their_gradient in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            our_gradient.numpy(), tf.convert_to_tensor(their_gradient).numpy(), rtol=0, atol=1e-5
        )
