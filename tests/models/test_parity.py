"""Our pretraining model against keras-nlp's and tf-models-official's, same weights, float32."""

import keras
import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion.checkpoint import Model
from bert_tf.conversion.keras_nlp import entries, to_keras_nlp
from bert_tf.layers.attention import padding_mask
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import stored_tensors, weights_by_name
from bert_tf.tasks.models import build_model
from tests.references import (
    ARCHITECTURE,
    model_garden_pretrainer,
    model_garden_value,
    random_batch,
    randomize,
)

TOLERANCE = {"rtol": 0, "atol": 1e-5}
DESCRIPTION = ModelDescription(kind="pretraining", architecture=ARCHITECTURE, max_seq_length=20)


@pytest.fixture(scope="module")
def model():
    return build_model(DESCRIPTION)


@pytest.fixture(scope="module")
def weights(model):
    return randomize(model)


@pytest.fixture(scope="module")
def batch():
    return random_batch()


@pytest.fixture(scope="module")
def backbone(model, weights):
    """keras-nlp's encoder with our weights."""
    return to_keras_nlp(Model(model, DESCRIPTION, None))


def _keras_nlp_inputs(batch):
    return {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
    }


def _theirs(batch):
    return {
        "input_word_ids": batch["input_ids"],
        "input_mask": batch["input_mask"],
        "input_type_ids": batch["segment_ids"],
        "masked_lm_positions": batch["masked_lm_positions"],
    }


def test_encoder_equals_keras_nlp(model, backbone, batch):
    expected = backbone(_keras_nlp_inputs(batch))
    outputs = model.encoder(batch)
    is_token = batch["input_mask"].astype(bool)
    for name in ("sequence_output", "pooled_output"):
        ours, theirs = np.asarray(outputs[name]), np.asarray(expected[name])
        if name == "sequence_output":
            ours, theirs = ours[is_token], theirs[is_token]
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)


def test_masked_lm_head_equals_keras_nlp_with_berts_epsilon_and_gelu(model, backbone, batch):
    head = keras_nlp.layers.MaskedLMHead(
        token_embedding=backbone.token_embedding,
        intermediate_activation=lambda x: keras.activations.gelu(x, approximate=True),
        layer_norm_epsilon=ARCHITECTURE.layer_norm_eps,
        name="mlm_head",
    )
    head.build((None, None, ARCHITECTURE.hidden_size))
    tensors = dict(stored_tensors(weights_by_name(model), entries(DESCRIPTION)))
    for weight in head.weights:
        weight.assign(tensors[weight.path])
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


def _hidden_states(model, batch):
    """Output of the embeddings and of every Transformer layer, (batch, length, hidden)."""
    encoder = model.encoder
    states = [encoder.embeddings(batch["input_ids"], batch["segment_ids"])]
    mask = padding_mask(batch["input_mask"])
    for layer in encoder.transformer_layers:
        states.append(layer(states[-1], attention_mask=mask))
    return [np.asarray(state) for state in states]


def test_every_layer_equals_keras_nlp(model, backbone, batch):
    names = ["embeddings_dropout", "transformer_layer_0", "transformer_layer_1"]
    parts = keras.Model(backbone.inputs, [backbone.get_layer(name).output for name in names])
    expected = parts(_keras_nlp_inputs(batch))
    is_token = batch["input_mask"].astype(bool)
    for ours, theirs in zip(_hidden_states(model, batch), expected, strict=True):
        np.testing.assert_allclose(ours[is_token], np.asarray(theirs)[is_token], **TOLERANCE)


def test_every_layer_and_head_equals_model_garden(model, weights, batch):
    reference = model_garden_pretrainer(weights)
    expected = reference.encoder_network(
        {name: value for name, value in _theirs(batch).items() if name != "masked_lm_positions"}
    )
    is_token = batch["input_mask"].astype(bool)
    states = _hidden_states(model, batch)
    for ours, theirs in zip(states[1:], expected["encoder_outputs"], strict=True):
        np.testing.assert_allclose(ours[is_token], theirs.numpy()[is_token], **TOLERANCE)
    # Model Garden's head holds the pooler: the first token in, class scores out.
    (head,) = reference.classification_heads
    ours = model.next_sentence(model.encoder.pooler(states[-1]))
    np.testing.assert_allclose(np.asarray(ours), head(states[-1]).numpy(), **TOLERANCE)


def test_every_gradient_in_training_equals_model_garden(model, weights, batch):
    reference = model_garden_pretrainer(weights)

    def loss_of(masked_lm_logits, next_sentence_logits):
        return tf.reduce_mean(tf.nn.log_softmax(masked_lm_logits)[..., 7]) + tf.reduce_mean(
            tf.nn.log_softmax(next_sentence_logits)[..., 1]
        )

    our_weights = weights_by_name(model)
    with tf.GradientTape() as tape:
        outputs = model(batch, training=True)
        loss = loss_of(outputs["masked_lm_logits"], outputs["next_sentence_logits"])
    gradients = tape.gradient(loss, [weight.value for weight in our_weights.values()])
    ours = {
        name: tf.convert_to_tensor(gradient).numpy()
        for name, gradient in zip(our_weights, gradients, strict=True)
    }
    with tf.GradientTape() as tape:
        expected = reference(_theirs(batch), training=True)
        expected_loss = loss_of(expected["mlm_logits"], expected["next_sentence"])
    np.testing.assert_allclose(float(loss), float(expected_loss), rtol=1e-6)
    theirs = tape.gradient(expected_loss, reference.trainable_weights)
    compared = 0
    for weight, gradient in zip(reference.trainable_weights, theirs, strict=True):
        if gradient is not None:  # the encoder's own pooler is not used by Model Garden's head
            np.testing.assert_allclose(
                model_garden_value(weight, ours),
                tf.convert_to_tensor(gradient).numpy(),
                rtol=0,
                atol=1e-5,
                err_msg=weight.name,
            )
            compared += 1
    assert compared == len(reference.trainable_weights) - 2
