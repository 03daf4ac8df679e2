"""Token ids to vectors: what enters the first Transformer layer."""

import math
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from bert_tf.layers.dropout import Dropout
from bert_tf.layers.normalization import normalize
from bert_tf.layers.projection import matmul
from bert_tf.layers.served_form import served_form


class BertEmbeddings(keras.layers.Layer):
    """Sum of token, position and segment embeddings, then LayerNorm and dropout.

    Inputs: `input_ids` and, unless `type_vocab_size` is 0, `segment_ids`, int32, (batch, length);
    `position_ids`, int32, (batch, length) or of sizes that broadcast to it, or None for 0, 1, 2, …
    Output: (batch, length, hidden), compute dtype. Padding is embedded like any token; keeping it
    out is attention's work.

    Args:
        scale: multiply token and segment embeddings by sqrt(hidden). Default: with sinusoidal
            positions, which are of size 1 and have no weights: at their initial 0.02 the others
            would vanish beside them.
        has_layer_norm: false leaves LayerNorm out.
        word_embeddings: the token table of another layer, to share it; the configuration of this
            one does not hold it. Default: one of its own.

    Raises:
        ValueError: a sequence is longer than `max_position_embeddings`.

    Source: Devlin et al. 2019, section 3, figure 2; sinusoidal positions and the factor: Vaswani
    et al. 2017, sections 3.5 and 3.4.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        position_embedding: Literal["learned", "sinusoidal"],
        dropout_rate: float,
        initializer_range: float,
        layer_norm_eps: float,
        scale: bool | None = None,
        has_layer_norm: bool = True,
        word_embeddings: keras.layers.Embedding | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._settings = {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "max_position_embeddings": max_position_embeddings,
            "type_vocab_size": type_vocab_size,
            "position_embedding": position_embedding,
            "dropout_rate": dropout_rate,
            "initializer_range": initializer_range,
            "layer_norm_eps": layer_norm_eps,
            "scale": scale,
            "has_layer_norm": has_layer_norm,
        }
        self.scale = position_embedding == "sinusoidal" if scale is None else scale
        self.hidden_size = hidden_size
        self.type_vocab_size = type_vocab_size
        self.max_position_embeddings = max_position_embeddings

        def table(rows: int, name: str) -> keras.layers.Embedding:
            return keras.layers.Embedding(
                rows,
                hidden_size,
                embeddings_initializer=keras.initializers.TruncatedNormal(stddev=initializer_range),
                name=name,
                dtype=self.dtype_policy,
            )

        self.word_embeddings = word_embeddings or table(vocab_size, "word_embeddings")
        self.position_embeddings: Any = None
        if position_embedding == "learned":
            self.position_embeddings = table(max_position_embeddings, "position_embeddings")
        self.token_type_embeddings: Any = None
        if type_vocab_size:
            self.token_type_embeddings = table(type_vocab_size, "token_type_embeddings")
        self.layer_norm: Any = None
        if has_layer_norm:
            self.layer_norm = keras.layers.LayerNormalization(
                epsilon=layer_norm_eps, name="layer_norm", dtype=self.dtype_policy
            )
        self.dropout = Dropout(dropout_rate, name="dropout", dtype=self.dtype_policy)

    def build(self, input_ids_shape, segment_ids_shape=None):
        for table in (self.word_embeddings, self.position_embeddings, self.token_type_embeddings):
            if table is not None and not table.built:  # one that is shared may be
                table.build((None, None))
        if self.layer_norm is not None:
            self.layer_norm.build((None, None, self.hidden_size))

    def call(self, input_ids, segment_ids=None, position_ids=None, training=False):
        length = input_ids.shape[1]
        if length is not None and length > self.max_position_embeddings:
            raise ValueError(
                "A sequence must be at most max_position_embeddings long. Received: length "
                f"{length}, max_position_embeddings={self.max_position_embeddings}. Shorten "
                "max_seq_length or raise model.max_position_embeddings."
            )
        positions = self._positions(input_ids, position_ids)
        embedded = self._tokens(input_ids)
        segments: Any = 0.0
        if self.token_type_embeddings is not None:
            segments = self._segments(segment_ids)
        if self.scale:
            embedded = (embedded + segments) * math.sqrt(self.hidden_size) + positions
        else:
            embedded = embedded + positions + segments
        if self.layer_norm is not None:
            embedded = normalize(embedded, self.layer_norm, training=training)
        return self.dropout(embedded, training=training)

    def _tokens(self, input_ids):
        form = served_form(self.word_embeddings)
        return self.word_embeddings(input_ids) if form is None else form(input_ids)

    @property
    def tied_table(self):
        """What the masked-token head multiplies with: the table, or None of a served form."""
        form = served_form(self.word_embeddings)
        return self.word_embeddings.embeddings if form is None else None

    def _segments(self, segment_ids):
        # Few rows: a product with one-hot vectors has a far cheaper gradient than a lookup.
        rows = ops.one_hot(segment_ids, self.type_vocab_size, dtype=self.compute_dtype)
        table = ops.cast(self.token_type_embeddings.embeddings, self.compute_dtype)
        return matmul(rows, table)

    def _positions(self, input_ids, position_ids):
        if self.position_embeddings is None:
            return self._sinusoids(input_ids, position_ids)
        if position_ids is not None:
            return self.position_embeddings(position_ids)
        table = ops.cast(self.position_embeddings.embeddings, self.compute_dtype)
        return table[None, : ops.shape(input_ids)[1]]

    def _sinusoids(self, input_ids, position_ids):
        if position_ids is None:
            position_ids = ops.arange(ops.shape(input_ids)[1])[None]
        return ops.cast(sinusoids(position_ids, self.hidden_size), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), **self._settings}


def sinusoids(position_ids, hidden_size: int):
    """Sines at even columns, cosines at odd ones; wavelengths from 2 pi to 10000 * 2 pi.

    (batch, length) int -> (batch, length, hidden_size), float32.

    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = 10000.0 ** (-np.arange(0, hidden_size, 2) / hidden_size)
    angles = ops.cast(position_ids, "float32")[..., None] * rates.astype("float32")
    pairs = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
    return ops.reshape(pairs, (*ops.shape(angles)[:-1], -1))[..., :hidden_size]
