"""The encoder-decoder against three others with the same weights, float32."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from official.nlp.tasks import translation

from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.layers.embeddings import sinusoids
from bert_tf.models.tensors import weights_by_name
from tests.models.small_transformer import loss_and_gradients, make_batch, make_model
from tests.models.transformer_references import (
    SHARED_TABLE,
    marian_model,
    marian_value,
    model_garden_transformer,
    model_garden_value,
    torch_transformer,
    torch_value,
)

SMOOTHING = 0.1
TOLERANCE = {"rtol": 0, "atol": 1e-5}


def spread_down(model: Any) -> dict[str, np.ndarray]:
    """Smaller weights, so that logits are of the size of 1; by name."""
    for weight in model.weights:
        if len(weight.shape) == 2:
            weight.assign(0.5 * weight)
    return {name: np.asarray(weight) for name, weight in weights_by_name(model).items()}


@pytest.mark.parametrize("norm_first", [False, True], ids=["post-LN", "pre-LN"])
def test_logits_loss_and_every_gradient_equal_model_gardens(norm_first):
    model, batch = make_model(norm_first=norm_first), make_batch()
    reference = model_garden_transformer(model.config, spread_down(model))
    num_classes = model.config.vocab_size
    # Its share goes to all other tokens; Szegedy's, and ours, to all tokens.
    theirs_smoothing = SMOOTHING * (num_classes - 1) / num_classes
    with tf.GradientTape() as tape:
        expected = reference(
            {"inputs": batch["input_ids"], "targets": batch["labels"]}, training=True
        )
        losses, weights = translation._padded_cross_entropy_loss(
            expected, batch["labels"], theirs_smoothing, num_classes
        )
        expected_loss = tf.reduce_sum(losses) / tf.reduce_sum(weights)
    np.testing.assert_array_equal(weights, batch["label_weights"])
    theirs = tape.gradient(expected_loss, reference.trainable_weights)
    np.testing.assert_allclose(model(batch, training=True), expected, **TOLERANCE)

    loss, gradients = loss_and_gradients(model, batch, label_smoothing=SMOOTHING)
    # They subtract the least loss that there can be, the entropy of the target.
    shares = np.full(num_classes, SMOOTHING / num_classes)
    shares[0] += 1 - SMOOTHING
    entropy = -np.sum(shares * np.log(shares))
    np.testing.assert_allclose(loss, expected_loss + entropy, atol=1e-5)
    assert len(theirs) == (2 * 16 + 2 * 26) + (4 if norm_first else 0) + 1
    for weight, gradient in zip(reference.trainable_weights, theirs, strict=True):
        np.testing.assert_allclose(
            model_garden_value(weight, gradients),
            tf.convert_to_tensor(gradient),
            **TOLERANCE,
            err_msg=weight.name,
        )


@pytest.mark.parametrize("norm_first", [False, True], ids=["post-LN", "pre-LN"])
def test_logits_loss_and_every_gradient_equal_pytorchs(norm_first):
    torch = pytest.importorskip("torch", reason="needs the bench extra")
    model, batch = make_model(norm_first=norm_first), make_batch()
    values = spread_down(model)
    reference = torch_transformer(model.config, values)
    table = torch.tensor(values[SHARED_TABLE], requires_grad=True)
    tensors = {name: torch.tensor(value) for name, value in batch.items()}

    def embedded(name: str) -> Any:
        ids, width = tensors[name].long(), model.config.hidden_size
        positions = np.asarray(sinusoids(np.arange(ids.shape[1])[None], width))
        return table[ids] * width**0.5 + torch.tensor(positions)

    is_padding = tensors["input_mask"] == 0
    hidden = reference(
        embedded("input_ids"),
        embedded("decoder_input_ids"),
        tgt_mask=torch.ones(6, 6, dtype=torch.bool).triu(1),
        src_key_padding_mask=is_padding,
        memory_key_padding_mask=is_padding,
    )
    logits = hidden @ table.T
    np.testing.assert_allclose(model(batch, training=True), logits.detach(), **TOLERANCE)

    labels = torch.where(tensors["label_weights"] > 0, tensors["labels"].long(), -100)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    )
    expected.backward()
    loss, gradients = loss_and_gradients(model, batch, label_smoothing=SMOOTHING)
    np.testing.assert_allclose(loss, expected.detach(), atol=1e-5)
    np.testing.assert_allclose(gradients[SHARED_TABLE], table.grad, **TOLERANCE)
    parameters = dict(reference.named_parameters())
    assert len(parameters) == (2 * 12 + 2 * 18) + (4 if norm_first else 0)
    for name, parameter in parameters.items():
        np.testing.assert_allclose(
            torch_value(name, gradients), parameter.grad, **TOLERANCE, err_msg=name
        )


def test_logits_loss_and_every_gradient_equal_marians():
    torch = pytest.importorskip("torch", reason="needs the bench extra")
    pytest.importorskip("transformers", reason="needs the bench extra")
    model, batch = make_model(), make_batch()
    tokens = SpecialTokens(start_id=0, end_id=1, pad_id=0)
    reference = marian_model(model.config, spread_down(model), tokens=tokens).train()
    tensors = {name: torch.tensor(value) for name, value in batch.items()}
    labels = torch.where(tensors["label_weights"] > 0, tensors["labels"].long(), -100)
    found = reference(
        input_ids=tensors["input_ids"].long(),
        attention_mask=tensors["input_mask"].long(),
        decoder_input_ids=tensors["decoder_input_ids"].long(),
        labels=labels,
    )
    np.testing.assert_allclose(model(batch, training=True), found.logits.detach(), **TOLERANCE)
    found.loss.backward()
    loss, gradients = loss_and_gradients(model, batch)
    np.testing.assert_allclose(loss, found.loss.detach(), atol=1e-5)
    trained = {name: it for name, it in reference.named_parameters() if it.requires_grad}
    assert len(trained) == (2 * 16 + 2 * 26) + 1
    for name, parameter in trained.items():
        # PyTorch gives no gradient to the row of padding, which here is the start token, too.
        first = 1 if name == "model.shared.weight" else 0
        np.testing.assert_allclose(
            marian_value(name, gradients)[first:],
            parameter.grad[first:],
            **TOLERANCE,
            err_msg=name,
        )
