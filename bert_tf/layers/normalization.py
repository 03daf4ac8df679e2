"""LayerNorm, alone and about a residual branch; in training by a fused kernel if there is.

Shapes: hidden states (…, width), compute dtype; biases (width).
"""

from typing import Any, NamedTuple

import keras

from bert_tf.layers.dropout import Dropout
from bert_tf.layers.projection import add_bias


class Residual(NamedTuple):
    """What stands about a sublayer such as attention: dropout, residual sum and LayerNorm.

    LayerNorm stands after the sum (post-LN) or, with `norm_first`, before the sublayer (pre-LN).

        residual.added(sublayer(residual.asked(hidden)), hidden)

    Source: Vaswani et al. 2017, sections 3.1 and 5.4; pre-LN: Xiong et al. 2020, figure 1.
    """

    dropout: Dropout
    layer_norm: keras.layers.LayerNormalization
    norm_first: bool

    def asked(self, hidden: Any, *, training: bool) -> Any:
        """What the sublayer reads."""
        if not self.norm_first:
            return hidden
        return normalize(hidden, self.layer_norm, training=training)

    def added(self, update_and_bias: tuple[Any, Any], hidden: Any, *, training: bool) -> Any:
        """What the sublayer gives, as product and bias (see `projection.product`), and `hidden`."""
        if self.norm_first:
            update = add_bias(*update_and_bias, training=training)
            return hidden + self.dropout(update, training=training)
        return drop_add_norm(update_and_bias, hidden, self.dropout, self.layer_norm, training)


def normalize(x: Any, layer_norm: keras.layers.LayerNormalization, *, training: bool) -> Any:
    """`layer_norm(x)`."""
    if keras.backend.backend() == "tensorflow":
        weights = (layer_norm.gamma, layer_norm.beta)
        if training:
            from bert_tf.layers.tensorflow import fused

            return fused.layer_norm(x, *weights, epsilon=layer_norm.epsilon)
        if layer_norm.compute_dtype in ("float32", "bfloat16"):
            from bert_tf.layers.tensorflow import inference

            return inference.layer_norm(x, *weights, epsilon=layer_norm.epsilon)
    return layer_norm(x)


def drop_add_norm(
    update_and_bias: tuple[Any, Any],
    residual: Any,
    dropout: Dropout,
    layer_norm: keras.layers.LayerNormalization,
    training: bool,
) -> Any:
    """`layer_norm(residual + dropout(update + bias))`."""
    update, bias = update_and_bias
    if not (training and keras.backend.backend() == "tensorflow"):
        dropped = dropout(add_bias(update, bias), training=training)
        return normalize(residual + dropped, layer_norm, training=training)
    from bert_tf.layers.tensorflow import fused

    return fused.drop_add_norm(
        update,
        bias,
        residual,
        layer_norm.gamma,
        layer_norm.beta,
        dropout.next_seed(),
        epsilon=layer_norm.epsilon,
        **dropout.settings,
    )
