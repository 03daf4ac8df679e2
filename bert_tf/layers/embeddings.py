"""Token ids to vectors: what enters the first Transformer layer."""

from typing import Any

import keras
from keras import ops

from bert_tf.layers.dropout import Dropout


class BertEmbeddings(keras.layers.Layer):
    """Sum of token, learned position and segment embeddings, then LayerNorm and dropout.

    Inputs: `input_ids` and `segment_ids`, int32, (batch, length); `position_ids`, int32,
    (batch, length), or None for 0, 1, 2, …
    Output: (batch, length, hidden), compute dtype. Padding is embedded like any token; keeping it
    out is attention's work.

    Source: Devlin et al. 2019, section 3, figure 2.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        dropout_rate: float,
        initializer_range: float,
        layer_norm_eps: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._settings = {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "max_position_embeddings": max_position_embeddings,
            "type_vocab_size": type_vocab_size,
            "dropout_rate": dropout_rate,
            "initializer_range": initializer_range,
            "layer_norm_eps": layer_norm_eps,
        }
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

        self.word_embeddings = table(vocab_size, "word_embeddings")
        self.position_embeddings = table(max_position_embeddings, "position_embeddings")
        self.token_type_embeddings = table(type_vocab_size, "token_type_embeddings")
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_eps, name="layer_norm", dtype=self.dtype_policy
        )
        self.dropout = Dropout(dropout_rate, name="dropout", dtype=self.dtype_policy)

    def build(self, input_ids_shape, segment_ids_shape=None):
        for table in (self.word_embeddings, self.position_embeddings, self.token_type_embeddings):
            table.build((None, None))
        self.layer_norm.build((None, None, self._settings["hidden_size"]))

    def call(self, input_ids, segment_ids, position_ids=None, training=False):
        length = input_ids.shape[1]
        if length is not None and length > self.max_position_embeddings:
            raise ValueError(
                "A sequence must be at most max_position_embeddings long. Received: length "
                f"{length}, max_position_embeddings={self.max_position_embeddings}. Shorten "
                "max_seq_length or raise model.max_position_embeddings."
            )
        embedded = self.word_embeddings(input_ids) + self._positions(input_ids, position_ids)
        # Few rows: a product with one-hot vectors has a far cheaper gradient than a lookup.
        segments = ops.one_hot(segment_ids, self.type_vocab_size, dtype=self.compute_dtype)
        embedded += ops.matmul(
            segments, ops.cast(self.token_type_embeddings.embeddings, self.compute_dtype)
        )
        return self.dropout(self.layer_norm(embedded), training=training)

    def _positions(self, input_ids, position_ids):
        if position_ids is not None:
            return self.position_embeddings(position_ids)
        table = ops.cast(self.position_embeddings.embeddings, self.compute_dtype)
        return table[None, : ops.shape(input_ids)[1]]

    def get_config(self):
        return {**super().get_config(), **self._settings}
