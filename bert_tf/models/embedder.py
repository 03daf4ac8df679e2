"""BERT as an embedder: one vector a text."""

from typing import Any, Self

from keras import ops

from bert_tf.config import ModelConfig
from bert_tf.models.bert import ENCODER_INPUTS, ModelWithEncoder
from bert_tf.models.description import ModelDescription

POOLINGS = ("pooler", "cls", "mean", "mean_sqrt_len", "max")


class BertEmbedder(ModelWithEncoder):
    """The encoder's outputs and one embedding of each sequence.

    Inputs: the encoder's (see `BertEncoder`).
    Output: the encoder's dict and `embedding` (batch, hidden), float32: by `pooling` the pooler's
    output, the first token's vector, or over the tokens that are no padding the mean, the sum by
    the square root of their number, or the maximum; with `normalize` of length 1. Of inputs (batch,
    texts, length) `embedding` alone, (batch, texts, hidden).

    Source: Reimers and Gurevych 2019, section 3.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        pooling: str,
        normalize: bool,
        has_pooler: bool = True,
        **kwargs: Any,
    ):
        super().__init__(config, has_pooler=has_pooler, **{"name": "embedder", **kwargs})
        if pooling not in POOLINGS or (pooling == "pooler" and not has_pooler):
            raise ValueError(
                f"pooling must be one of {', '.join(POOLINGS)}, and `pooler` needs a pooler. "
                f"Received: pooling={pooling!r}, has_pooler={has_pooler}."
            )
        self.pooling = pooling
        self.normalize = normalize

    @classmethod
    def from_description(
        cls, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> Self:
        """The described model with random weights, all of them created."""
        model = cls(
            description.architecture,
            pooling=description.pooling,
            normalize=description.normalize_embeddings,
            has_pooler=description.has_pooler,
            rematerialize=rematerialize,
            dtype=dtype,
        )
        model.build(dict.fromkeys(ENCODER_INPUTS, (None, None)))
        return model

    def build(self, inputs_shape):
        self.encoder.build(inputs_shape)

    def call(self, inputs, training=False):
        if len(inputs["input_ids"].shape) == 2:
            return self.of_rows(inputs, training=training)
        _, num_texts, length = ops.shape(inputs["input_ids"])
        rows = {name: ops.reshape(inputs[name], (-1, length)) for name in ENCODER_INPUTS}
        embedding = self.of_rows(rows, training=training)["embedding"]
        return {"embedding": ops.reshape(embedding, (-1, num_texts, self.config.hidden_size))}

    def of_rows(self, inputs, training=False):
        """Of inputs (rows, length): (rows, ...), as of `call`."""
        encoded = self.encoder(inputs, training=training)
        if self.pooling == "pooler":
            embedding = ops.cast(encoded["pooled_output"], "float32")
        else:
            hidden = ops.cast(encoded["sequence_output"], "float32")
            embedding = pool_tokens(hidden, inputs["input_mask"], pooling=self.pooling)
        if self.normalize:
            embedding = normalized(embedding)
        return {**encoded, "embedding": embedding}

    def get_config(self):
        return {**super().get_config(), "pooling": self.pooling, "normalize": self.normalize}


def normalized(vectors):
    """Vectors of length 1 in the same directions. (…, width), in and out."""
    length = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
    return vectors / ops.maximum(length, 1e-12)


def pool_tokens(hidden, input_mask, *, pooling):
    """One vector a row of (batch, length, hidden), padding left out. -> (batch, hidden)."""
    if pooling == "cls":
        return hidden[:, 0]
    is_token = ops.expand_dims(ops.cast(input_mask, "bool"), -1)  # (batch, length, 1)
    if pooling == "max":
        return ops.max(ops.where(is_token, hidden, -1e9), axis=1)
    total = ops.sum(ops.where(is_token, hidden, 0.0), axis=1)
    count = ops.maximum(ops.sum(ops.cast(is_token, "float32"), axis=1), 1e-9)
    return total / (ops.sqrt(count) if pooling == "mean_sqrt_len" else count)
