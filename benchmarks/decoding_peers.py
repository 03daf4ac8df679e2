"""Beam search of bert_tf, Hugging Face and tf-models-official: one model, sources in, tokens out.

All have the same weights and start with the padding token, as both peers' models do.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks.sequence_to_sequence_peers import Batch
from bert_tf.config import DecodingConfig, ModelConfig
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.decoding.search import search
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.models.tensors import weights_by_name
from tests.models.transformer_references import marian_model, model_garden_transformer

Weights = Mapping[str, np.ndarray]
Decode = Callable[[Batch, int], np.ndarray]
"""Of sources, `input_ids` and `input_mask`, and of the answers' length in tokens: the best answer
of each, int32 (batch, tokens)."""


class Search(NamedTuple):
    """What all search for."""

    tokens: SpecialTokens
    beam_size: int = 4
    length_penalty: float = 0.6


def our_decode(config: ModelConfig, weights: Weights, wanted: Search, *, precision: str) -> Decode:
    """The package's search as an export has it, a graph for each length."""
    model = EncoderDecoder(config, dtype=precision)
    model.build({})
    for name, weight in weights_by_name(model).items():
        weight.assign(weights[name])
    model.encoder.skips_padding = True  # as `exporting.precision.load_for_serving` does
    functions: dict[int, Any] = {}

    def make(length: int) -> Any:
        decoding = DecodingConfig(
            beam_size=wanted.beam_size,
            length_penalty=wanted.length_penalty,
            min_length=length - 1,
            max_length=length,
        )
        spec = {name: tf.TensorSpec([None, None], tf.int32) for name in ENCODER_INPUTS}
        return tf.function(
            lambda batch: search(model, batch, config=decoding, tokens=wanted.tokens).ids[:, 0],
            input_signature=[spec],
            autograph=False,
        )

    def decode(batch: Batch, length: int) -> np.ndarray:
        if length not in functions:
            functions[length] = make(length)
        ids = tf.constant(batch["input_ids"])
        mask = tf.constant(batch["input_mask"])
        inputs = {"input_ids": ids, "input_mask": mask, "segment_ids": tf.zeros_like(ids)}
        found: np.ndarray = functions[length](inputs).numpy()
        return found

    return decode


def huggingface_decode(
    config: ModelConfig, weights: Weights, wanted: Search, *, precision: str
) -> Decode:
    """`MarianMTModel.generate`."""
    import torch

    model = marian_model(config, dict(weights), tokens=wanted.tokens).eval()
    model.to(getattr(torch, precision))

    def decode(batch: Batch, length: int) -> np.ndarray:
        with torch.inference_mode():
            found = model.generate(
                input_ids=torch.tensor(batch["input_ids"], dtype=torch.long),
                attention_mask=torch.tensor(batch["input_mask"], dtype=torch.long),
                num_beams=wanted.beam_size,
                length_penalty=wanted.length_penalty,
                max_new_tokens=length,
                min_new_tokens=length - 1,
                early_stopping=False,
                do_sample=False,
            )
        ids: np.ndarray = found[:, 1:].numpy().astype(np.int32)
        return ids

    return decode


def model_garden_decode(
    config: ModelConfig, weights: Weights, wanted: Search, *, policy: str
) -> Decode:
    """`Seq2SeqTransformer` without targets, a graph for each length."""
    import tf_keras

    tf_keras.mixed_precision.set_global_policy(policy)
    model = model_garden_transformer(
        config,
        dict(weights),
        beam_size=wanted.beam_size,
        alpha=wanted.length_penalty,
        eos_id=-1,  # no token: it has no shortest length
    )
    functions: dict[int, Any] = {}

    def make(length: int) -> Any:
        def decode(ids: tf.Tensor) -> tf.Tensor:
            model._decode_max_length = length
            return model({"inputs": ids}, training=False)["outputs"]

        return tf.function(decode, input_signature=[tf.TensorSpec([None, None], tf.int32)])

    def decode(batch: Batch, length: int) -> np.ndarray:
        if length not in functions:
            functions[length] = make(length)
        found: np.ndarray = functions[length](tf.constant(batch["input_ids"])).numpy()
        return found

    return decode


DECODERS: dict[str, Callable[[ModelConfig, Weights, Search], Decode]] = {
    "bert_tf, float32": functools.partial(our_decode, precision="float32"),
    "bert_tf, bfloat16": functools.partial(our_decode, precision="bfloat16"),
    "Hugging Face, float32": functools.partial(huggingface_decode, precision="float32"),
    "Hugging Face, bfloat16": functools.partial(huggingface_decode, precision="bfloat16"),
    "tf-models-official, float32": functools.partial(model_garden_decode, policy="float32"),
    "tf-models-official, bfloat16": functools.partial(model_garden_decode, policy="mixed_bfloat16"),
}
