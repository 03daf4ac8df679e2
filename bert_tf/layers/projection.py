"""Matrix products, and the dense layer as BERT initialises it: one definition for all layers."""

from typing import Any

import keras

from bert_tf.layers.served_form import served_form


def dense(
    units: int, *, initializer_range: float, name: str, dtype: Any, activation: Any = None
) -> keras.layers.Dense:
    """A dense layer: kernel from a truncated normal, bias zero.

    Source: Devlin et al. 2019; google-research/bert, modeling.py (`create_initializer`).
    """
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=initializer_range),
        name=name,
        dtype=dtype,
    )


def product(x: Any, layer: keras.layers.Dense) -> tuple[Any, Any]:
    """What a built dense layer gives without its bias, and the bias, which the caller adds.

    Both in the layer's compute dtype, as the layer itself has them. A served form adds the bias
    itself: then None is left to add.
    """
    form = served_form(layer)
    if form is not None:
        return form(x), None
    kernel = keras.ops.cast(layer.kernel, layer.compute_dtype)
    return matmul(x, kernel), keras.ops.cast(layer.bias, layer.compute_dtype)


def biased_product(x: Any, layer: keras.layers.Dense, *, training: bool) -> Any:
    """What a built dense layer without activation gives; in training by a fused kernel if there is.

    On a CPU a bias's gradient, a sum over rows, otherwise takes as long as all else about it.
    """
    return add_bias(*product(x, layer), training=training)


def add_bias(x: Any, bias: Any, *, training: bool = False) -> Any:
    """`x + bias`: in training by a fused kernel, else as TensorFlow computes it with the product.

    `bias`: None where it is in `x`.
    """
    if bias is None:
        return x
    if training and keras.backend.backend() == "tensorflow":
        from bert_tf.layers.tensorflow import fused

        return fused.add_bias(x, bias)
    if keras.backend.backend() != "tensorflow":
        return x + bias
    from bert_tf.layers.tensorflow import inference

    return inference.add_bias(x, bias)


def matmul(a: Any, b: Any, *, transpose_b: bool = False) -> Any:
    """The product of two tensors of one type, in that type; of `b` transposed, if so asked.

    In bfloat16, on hardware without units for it, the factors are multiplied as float32 and the
    result is rounded: what such a unit gives, which multiplies exactly and adds in float32.
    TensorFlow's own bfloat16 product takes four times as long there.
    """
    if keras.backend.standardize_dtype(a.dtype) != "bfloat16" or _has_units():
        return _matmul(a, b, transpose_b=transpose_b)
    wide = _matmul(
        keras.ops.cast(a, "float32"), keras.ops.cast(b, "float32"), transpose_b=transpose_b
    )
    return keras.ops.cast(wide, "bfloat16")


def _matmul(a: Any, b: Any, *, transpose_b: bool) -> Any:
    if transpose_b and keras.backend.backend() == "tensorflow":
        from bert_tf.layers.tensorflow.products import matmul_transposed

        return matmul_transposed(a, b)
    return keras.ops.matmul(a, keras.ops.swapaxes(b, -1, -2) if transpose_b else b)


def _has_units() -> bool:
    if keras.backend.backend() != "tensorflow":
        return True  # the compiler of another backend knows its hardware
    from bert_tf.layers.tensorflow.bfloat16 import has_bfloat16_units

    return has_bfloat16_units()
