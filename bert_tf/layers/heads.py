"""The heads on the encoder: pooler, masked-token, next-sentence and class scores."""

from typing import Any

import keras
from keras import ops

from bert_tf.layers.activations import activated
from bert_tf.layers.dropout import Dropout
from bert_tf.layers.normalization import normalize
from bert_tf.layers.projection import dense, matmul
from bert_tf.layers.served_form import served_form


class Pooler(keras.layers.Layer):
    """tanh(dense(first token)): one vector a sequence.

    Inputs: `sequence_output` (batch, length, hidden); `positions` int32 (batch, sequences), the
    first tokens of the sequences that share a row, or None for one sequence a row.
    Output: (batch, hidden), with `positions` (batch, sequences, hidden), compute dtype.

    Source: google-research/bert, modeling.py.
    """

    def __init__(self, hidden_size: int, *, initializer_range: float, **kwargs: Any):
        super().__init__(**kwargs)
        self._settings = {"hidden_size": hidden_size, "initializer_range": initializer_range}
        self.dense = dense(
            hidden_size,
            initializer_range=initializer_range,
            name="dense",
            dtype=self.dtype_policy,
            activation="tanh",
        )

    def build(self, sequence_output_shape, positions_shape=None):
        self.dense.build((None, self._settings["hidden_size"]))

    def call(self, sequence_output, positions=None):
        if positions is None:
            # Not by a slice, whose gradient TensorFlow writes slowly.
            first = ops.zeros((ops.shape(sequence_output)[0], 1), "int32")
            return self.dense(gather_positions(sequence_output, first))
        pooled = self.dense(gather_positions(sequence_output, positions))
        return ops.reshape(pooled, (*ops.shape(positions), self._settings["hidden_size"]))

    def get_config(self):
        return {**super().get_config(), **self._settings}


class MaskedLanguageModelHead(keras.layers.Layer):
    """Scores of every vocabulary entry at the positions asked for.

    dense -> activation -> LayerNorm -> product with the token embedding table -> bias.

    Inputs: `sequence_output` (batch, length, hidden); `positions` int32 (batch, predictions);
    `embedding_table` (vocabulary, hidden), the encoder's own: the weights are tied; None where a
    served form has its own.
    Output: logits (batch, predictions, vocabulary), float32.

    Source: Devlin et al. 2019, section 3.1; google-research/bert, run_pretraining.py.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        activation: str,
        initializer_range: float,
        layer_norm_eps: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._settings = {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "activation": activation,
            "initializer_range": initializer_range,
            "layer_norm_eps": layer_norm_eps,
        }
        self.activation = activation
        self.dense = dense(
            hidden_size,
            initializer_range=initializer_range,
            name="dense",
            dtype=self.dtype_policy,
        )
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_eps, name="layer_norm", dtype=self.dtype_policy
        )

    def build(self, sequence_output_shape, positions_shape=None, embedding_table_shape=None):
        self.dense.build((None, self._settings["hidden_size"]))
        self.layer_norm.build((None, self._settings["hidden_size"]))
        self.bias = self.add_weight(
            shape=(self._settings["vocab_size"],), initializer="zeros", name="bias"
        )

    def call(self, sequence_output, positions, embedding_table, training=False):
        gathered = gather_positions(sequence_output, positions)  # (batch * predictions, hidden)
        transformed = activated(gathered, self.dense, self.activation, training=training)
        transformed = normalize(transformed, self.layer_norm, training=training)
        logits = self._logits(transformed, embedding_table, training=training)
        return ops.reshape(logits, (*ops.shape(positions), self._settings["vocab_size"]))

    def _logits(self, transformed, embedding_table, *, training):
        form = served_form(self)
        if form is not None:
            return form(transformed)
        table = ops.cast(embedding_table, self.compute_dtype)
        logits = matmul(transformed, table, transpose_b=True)
        if training and keras.backend.backend() == "tensorflow":
            from bert_tf.layers.tensorflow import fused

            return fused.add_bias_in_float32(logits, self.bias)
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")

    def get_config(self):
        return {**super().get_config(), **self._settings}


class ClassificationHead(keras.layers.Layer):
    """Class scores from the pooled output: the next-sentence head and every classifier.

    Input: (batch, hidden), or (batch, sequences, hidden) of packed rows. Output: logits, float32,
    of the same shape but for `classes` in the place of `hidden`.

    Source: Devlin et al. 2019, sections 3.1 (next sentence, no dropout) and 4.1 (classifiers).
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_classes: int,
        dropout_rate: float,
        initializer_range: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._settings = {
            "hidden_size": hidden_size,
            "num_classes": num_classes,
            "dropout_rate": dropout_rate,
            "initializer_range": initializer_range,
        }
        self.dropout = Dropout(dropout_rate, name="dropout", dtype=self.dtype_policy)
        self.dense = dense(
            num_classes,
            initializer_range=initializer_range,
            name="dense",
            dtype=self.dtype_policy,
        )

    def build(self, pooled_output_shape):
        self.dense.build((None, self._settings["hidden_size"]))

    def call(self, pooled_output, training=False):
        dropped = self.dropout(pooled_output, training=training)
        return ops.cast(self.dense(dropped), "float32")

    def get_config(self):
        return {**super().get_config(), **self._settings}


def gather_positions(sequence_output, positions):
    """Rows of (batch, length, hidden) at (batch, predictions) -> (batch * predictions, hidden)."""
    batch, length, _ = ops.shape(sequence_output)
    offsets = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    rows = ops.reshape(ops.cast(positions, "int32") + offsets, (-1,))
    flat = ops.reshape(sequence_output, (-1, sequence_output.shape[-1]))
    return ops.take(flat, rows, axis=0)


class Transitions(keras.layers.Layer):
    """Weights of each tag behind each other one, of a linear chain (see `tensorflow.crf`).

    Input: whatever has the batch as its first dimension. Output: (batch, tags + 1, tags + 1),
    float32, the same for all: from the row's tag to the column's; the last row is the start of a
    text, the last column its end. All are 0 at first.
    """

    def __init__(self, num_tags: int, **kwargs: Any):
        super().__init__(**{"name": "transitions", **kwargs, "dtype": "float32"})
        self.num_tags = num_tags

    def build(self, _=None):
        shape = (self.num_tags + 1, self.num_tags + 1)
        self.weights_of_pairs = self.add_weight(shape=shape, initializer="zeros", name="kernel")

    def call(self, inputs):
        weights = ops.convert_to_tensor(self.weights_of_pairs)
        return ops.broadcast_to(weights[None], (ops.shape(inputs)[0], *weights.shape))

    def get_config(self):
        return {**super().get_config(), "num_tags": self.num_tags}
