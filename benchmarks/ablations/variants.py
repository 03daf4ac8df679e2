"""What the claims are about, each as a small change of the package's own layers.

Letters in shapes: B batch, F positions that ask, T positions that answer, N heads, H head size.
"""

import math
from typing import Any

import keras
from keras import ops

from benchmarks.ablations.additive_kernel import additive_scores
from bert_tf.data.seeds import derive_seed
from bert_tf.layers.activations import activated
from bert_tf.layers.attention import MASKED_SCORE, MultiHeadAttention
from bert_tf.layers.embeddings import BertEmbeddings
from bert_tf.layers.normalization import Residual
from bert_tf.layers.projection import product
from bert_tf.layers.transformer import TransformerLayer
from bert_tf.models.bert import BertEncoder, embeddings_settings, layer_settings, vocab_size
from bert_tf.models.decoder import TransformerDecoder


class UnscaledAttention(MultiHeadAttention):
    """softmax(Q K^T) V: without the division by sqrt(H)."""

    @property
    def _factor(self):
        return 1.0


class AdditiveAttention(MultiHeadAttention):
    """softmax(v . tanh(q + k)) V: the score is a feed-forward network of one hidden layer.

    Query and key are projections as ever, W q and U k; `score_kernel` (N, H) has each head's v. It
    is all that is new, so that the layers differ in what is computed and hardly in size.

    Args:
        is_recomputed: the hidden layer is not kept for the gradient but computed again, compiled as
            one: the same numbers in less memory.

    Source: Bahdanau et al. 2015, appendix A.1.2.
    """

    def __init__(self, hidden_size: int, *, is_recomputed: bool = False, **settings: Any):
        super().__init__(hidden_size, **settings)
        self.is_recomputed = is_recomputed

    def build(self, query_shape, memory_shape=None):
        super().build(query_shape, memory_shape)
        head_size = self.hidden_size // self.num_heads
        self.score_kernel = self.add_weight(
            shape=(self.num_heads, head_size),
            initializer=keras.initializers.TruncatedNormal(stddev=head_size**-0.5),
            name="score_kernel",
        )

    def _context_of_heads(
        self, heads, attention_mask, *, return_weights=False, training=False, layout=None
    ):
        if return_weights or layout is not None:
            raise NotImplementedError("only what a training needs")
        query, key, value = heads  # (B, N, F, H), 2 x (B, N, T, H)
        if self.is_recomputed:
            scores = additive_scores(query, key, self.score_kernel)  # (B, N, F, T)
        else:
            hidden = ops.tanh(query[:, :, :, None] + key[:, :, None])  # (B, N, F, T, H)
            scores = ops.einsum("bnfth,nh->bnft", hidden, self.score_kernel)
        if attention_mask is not None:
            scores = ops.where(attention_mask, scores, MASKED_SCORE)
        weights = self.dropout(ops.softmax(scores, axis=-1), training=training)
        context = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))  # (B, F, N, H)
        return ops.reshape(context, (*ops.shape(context)[:2], self.hidden_size)), None


ATTENTION = {
    "dot product": MultiHeadAttention,
    "unscaled": UnscaledAttention,
    "additive": AdditiveAttention,
}


class BranchAlone(Residual):
    """What stands about a sublayer, without the sum: LayerNorm(dropout(sublayer(hidden)))."""

    def added(self, update_and_bias: tuple[Any, Any], hidden: Any, *, training: bool) -> Any:
        return super().added(update_and_bias, ops.zeros_like(hidden), training=training)


class TransformerLayerWithoutResidual(TransformerLayer):
    """An encoder layer in which nothing goes around a sublayer."""

    @property
    def _residual_of_attention(self):
        return BranchAlone(*super()._residual_of_attention)

    def _feed_forward(self, hidden, training):
        residual = BranchAlone(self.output_dropout, self.output_layer_norm, self.norm_first)
        asked = residual.asked(hidden, training=training)
        inner = activated(asked, self.intermediate, self.activation, training=training)
        return residual.added(product(inner, self.output_projection), hidden, training=training)


class EmbeddingsWithoutPositions(BertEmbeddings):
    """Token and segment embeddings; the size of the sum is that with sinusoids."""

    def __init__(self, **settings: Any):
        super().__init__(**{**settings, "position_embedding": "sinusoidal"})

    def _positions(self, input_ids, position_ids):
        return 0.0


def change_attention(encoder: BertEncoder, kind: str) -> None:
    """Give each layer of an unbuilt encoder attention of this kind (see `ATTENTION`)."""
    for layer in encoder.transformer_layers:
        _forget(layer, layer.attention)
        layer.attention = ATTENTION[kind](
            layer.hidden_size,
            num_heads=encoder.config.num_attention_heads,
            dropout_rate=encoder.config.attention_probs_dropout_prob,
            initializer_range=encoder.config.initializer_range,
            name="attention",
        )


def take_residuals_away(encoder: BertEncoder) -> None:
    """Of an unbuilt encoder."""
    before = list(encoder.transformer_layers)
    _forget(encoder, *before)
    encoder.transformer_layers = [
        TransformerLayerWithoutResidual(name=layer.name, **layer_settings(encoder.config))
        for layer in before
    ]


def take_positions_away(stack: BertEncoder | TransformerDecoder) -> None:
    """Of an unbuilt encoder or decoder; its table of tokens stays."""
    before = stack.embeddings
    _forget(stack, before)
    stack.embeddings = EmbeddingsWithoutPositions(
        vocab_size=vocab_size(stack.config),
        type_vocab_size=before.type_vocab_size,
        word_embeddings=before.word_embeddings,
        name="embeddings",
        **embeddings_settings(stack.config),
    )


def _forget(owner: keras.layers.Layer, *layers: keras.layers.Layer) -> None:
    """Keras keeps a layer that is replaced among its owner's, unbuilt; an optimizer finds it."""
    for layer in layers:
        owner._tracker.untrack(layer)


def set_initial_weights(model: keras.Model, *, seed: int) -> None:
    """Draw each matrix from the seed and its own path: what two variants share begins the same.

    Truncated normals of deviation 1 / sqrt(what is summed over), of a table 1 / sqrt(its columns);
    a learned position has the size of a sinusoid. Vectors keep the 0 and 1 that they have.
    """
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:
            name = variable.path.partition("/")[2]
            draw = keras.initializers.TruncatedNormal(
                stddev=_deviation(name, variable.shape), seed=derive_seed(seed, name) % 2**31
            )
            variable.assign(draw(variable.shape))


def _deviation(name: str, shape: tuple[int, ...]) -> float:
    if name.endswith("position_embeddings/embeddings"):
        return math.sqrt(0.5)
    is_table = name.endswith(("embeddings/embeddings", "score_kernel"))
    return float(shape[1 if is_table else 0] ** -0.5)
