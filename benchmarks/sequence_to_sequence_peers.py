"""Training steps of other encoder-decoders, each as its users write it and at its best.

A step takes a batch of `bert_tf.data.batches.parallel` and gives its loss. Weights are random:
time does not depend on them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.models.tensors import weights_by_name
from tests.models.transformer_references import (
    SHARED_TABLE,
    marian_model,
    model_garden_transformer,
    sinusoid_table,
    torch_transformer,
)

LEARNING_RATE = 1e-4
WEIGHT_DECAY = 0.01
MAX_GRAD_NORM = 1.0
LABEL_SMOOTHING = 0.1
Batch = Mapping[str, np.ndarray]
Step = Callable[[Batch], Any]


def random_weights(config: ModelConfig) -> dict[str, np.ndarray]:
    """Initial weights of our model, by name."""
    model = EncoderDecoder(config)
    model.build({})
    return {name: np.array(weight) for name, weight in weights_by_name(model).items()}


def model_garden_step(policy: str, *, is_compiled: bool) -> Callable[[ModelConfig], Step]:
    """`Seq2SeqTransformer` with the loss of its translation task, in a graph."""

    def make(config: ModelConfig) -> Step:
        import tf_keras
        from official.nlp.tasks import translation

        tf_keras.mixed_precision.set_global_policy(policy)
        model = model_garden_transformer(config, random_weights(config))
        optimizer = tf_keras.optimizers.AdamW(
            LEARNING_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=MAX_GRAD_NORM
        )
        optimizer.build(model.trainable_variables)
        ids = tf.TensorSpec([None, None], tf.int32)

        # With XLA a graph for each shape, which the compiler makes anyway.
        @tf.function(jit_compile=is_compiled, input_signature=None if is_compiled else [ids, ids])
        def compute(sources: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = model({"inputs": sources, "targets": targets}, training=True)
                losses, weights = translation._padded_cross_entropy_loss(
                    logits, targets, LABEL_SMOOTHING, config.vocab_size
                )
                loss = tf.reduce_sum(losses) / tf.reduce_sum(weights)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        return lambda batch: compute(tf.constant(batch["input_ids"]), tf.constant(batch["labels"]))

    return make


def marian_step(precision: str, *, is_compiled: bool) -> Callable[[ModelConfig], Step]:
    """`MarianMTModel`, autocast to the precision."""

    def make(config: ModelConfig) -> Step:
        tokens = SpecialTokens(start_id=0, end_id=1, pad_id=0)  # no part of a step
        model = marian_model(config, random_weights(config), tokens=tokens).train()

        def score(batch: Mapping[str, Any]) -> Any:
            return model(
                input_ids=batch["input_ids"],
                attention_mask=batch["input_mask"],
                decoder_input_ids=batch["decoder_input_ids"],
                use_cache=False,
            ).logits

        return _torch_step(score, list(model.parameters()), precision, is_compiled)

    return make


def torch_step(precision: str, *, is_compiled: bool) -> Callable[[ModelConfig], Step]:
    """`nn.Transformer` between embeddings and the product with their table."""

    def make(config: ModelConfig) -> Step:
        import torch

        weights = random_weights(config)
        model = torch_transformer(config, weights).train()
        table = torch.nn.Parameter(torch.tensor(weights[SHARED_TABLE]))
        positions = torch.tensor(sinusoid_table(config))

        def embedded(ids: Any) -> Any:
            vectors = torch.nn.functional.embedding(ids, table) * config.hidden_size**0.5
            vectors = vectors + positions[: ids.shape[1]]
            return torch.nn.functional.dropout(vectors, config.hidden_dropout_prob, training=True)

        def score(batch: Mapping[str, Any]) -> Any:
            length = batch["decoder_input_ids"].shape[1]
            is_later = torch.ones(length, length, dtype=torch.bool).triu(1)
            is_padding = batch["input_mask"] == 0
            hidden = model(
                embedded(batch["input_ids"]),
                embedded(batch["decoder_input_ids"]),
                tgt_mask=is_later,
                tgt_is_causal=True,
                src_key_padding_mask=is_padding,
                memory_key_padding_mask=is_padding,
            )
            return torch.nn.functional.linear(hidden, table)

        return _torch_step(score, [*model.parameters(), table], precision, is_compiled)

    return make


def _torch_step(
    score: Callable[[Mapping[str, Any]], Any],
    parameters: list[Any],
    precision: str,
    is_compiled: bool,
) -> Step:
    """The logits of a batch's targets, given those before, become a step."""
    import torch

    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
    )

    def loss_of(batch: Mapping[str, Any]) -> Any:
        logits = score(batch)
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch["labels"].flatten(), label_smoothing=LABEL_SMOOTHING
        )

    compiled = torch.compile(loss_of, dynamic=True) if is_compiled else loss_of

    def step(batch: Batch) -> Any:
        labels = np.where(batch["label_weights"] > 0, batch["labels"], -100)  # -100: no target
        tensors = {
            name: torch.tensor(batch[name], dtype=torch.long)
            for name in ("input_ids", "input_mask", "decoder_input_ids")
        } | {"labels": torch.tensor(labels, dtype=torch.long)}
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = compiled(tensors)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


STEPS: dict[str, Callable[[ModelConfig], Step]] = {
    "tf-models-official, float32": model_garden_step("float32", is_compiled=False),
    "tf-models-official, bfloat16": model_garden_step("mixed_bfloat16", is_compiled=False),
    "tf-models-official with XLA, float32": model_garden_step("float32", is_compiled=True),
    "tf-models-official with XLA, bfloat16": model_garden_step("mixed_bfloat16", is_compiled=True),
}
for _name, _make in {"Hugging Face": marian_step, "nn.Transformer": torch_step}.items():
    for _precision in ("float32", "bfloat16"):
        STEPS[f"{_name}, {_precision}"] = _make(_precision, is_compiled=False)
        STEPS[f"{_name} with torch.compile, {_precision}"] = _make(_precision, is_compiled=True)
