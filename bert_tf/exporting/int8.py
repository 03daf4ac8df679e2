"""Gives a model's products 8-bit weights, and their inputs ranges that real texts have.

    float32 model + texts --watched--> inputs of each product --ranges that cost least--> int8 forms

A layer whose numbers suffer can stay float32 (`export.float32_layers`): the report has what each
product alone does to the answers. LayerNorm, softmax, sums and small heads are float32 in any case.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.layers.activations import ACTIVATIONS
from bert_tf.layers.served_form import set_served_form
from bert_tf.layers.tensorflow.int8 import (
    Int8Product,
    Int8Table,
    Int8Weights,
    Range,
    quantized,
    quantized_columns,
)
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint

QUANTIZATION_FILE = "quantization.json"
"""In an export's `assets.extra`: products, and what each loses."""
WORD_EMBEDDINGS = "word_embeddings"
MASKED_LM = "masked_lm"
_CLIPPED = (1.0, 0.9, 0.8, 0.65, 0.5)
"""Shares of the range of an input that are tried as its range."""
_LARGEST_SAMPLE = 256
_LEAST_WIDTH = 0.01
_WORTH_SMOOTHING = 0.8

Inputs = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class QuantizedLayer:
    """One product, and what it loses."""

    name: str
    low: float
    high: float
    clipped: float
    """Share of the numbers in its input that are outside of the range."""
    error: float
    """Of its output, by the output: root mean squares."""
    effect: float
    """Of it alone on the model's outputs, by the outputs: root mean squares."""
    is_smoothed: bool = False
    """Whether columns of its input are brought to one size before they are rounded."""
    is_float32: bool = False
    """Whether it was left as it is."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def quantize(
    model: keras.Model, batches: Sequence[Inputs], *, float32_layers: Sequence[str] = ()
) -> list[QuantizedLayer]:
    """Let int8 forms stand in for the model's products; what is traced after has them.

    Args:
        model: float32, of `load_for_serving`.
        batches: the model's inputs, of real texts.
        float32_layers: names of the report; `word_embeddings` is one, too.

    Returns the products, the one with the largest effect on the outputs first.

    Raises:
        ValueError: `float32_layers` has a name that is none of the model's.
    """
    products = list(_products(model))
    kept = _checked({product.name for product in products}, float32_layers)
    watched = _watch(model, products, batches)
    simulated = {name: _least_costly(watch) for name, watch in watched.items()}
    effects = _effects(model, simulated, batches)
    report = [
        simulated[name].told(effect=effects[name], is_float32=name in kept) for name in simulated
    ]
    table = _set_table(model) if WORD_EMBEDDINGS not in kept else None
    int8 = {name: form for name, form in simulated.items() if name not in kept}
    for name, form in int8.items():
        set_served_form(form.product.layer, form.as_int8(table, before=int8.get(_next(name))))
    return sorted(report, key=lambda layer: -layer.effect)


@dataclass(frozen=True)
class _Product:
    """A matrix product of the model, and the layer whose form stands in for it."""

    name: str
    layer: keras.layers.Layer
    kernel: np.ndarray
    bias: np.ndarray

    def compute(self, x: Any, kernel: Any, activation: str | None) -> tf.Tensor:
        outputs = tf.matmul(tf.reshape(x, [-1, self.kernel.shape[0]]), kernel) + self.bias
        outputs = tf.reshape(outputs, [*x.shape[:-1], self.kernel.shape[1]])
        return outputs if activation is None else ACTIVATIONS[activation](outputs)


def _products(model: Any) -> Iterator[_Product]:
    for layer in model.encoder.transformer_layers:
        for part, dense in (
            ("attention.query_key_value", layer.attention.query_key_value),
            ("attention.output", layer.attention.output_projection),
            ("intermediate", layer.intermediate),
            ("output", layer.output_projection),
        ):
            yield _Product(f"{layer.name}.{part}", dense, dense.kernel.numpy(), dense.bias.numpy())
    if getattr(model, "has_masked_lm", False):
        head = model.masked_lm
        table = model.encoder.embeddings.tied_table.numpy()
        yield _Product(MASKED_LM, head, table.T, head.bias.numpy())


def _checked(names: set[str], float32_layers: Sequence[str]) -> set[str]:
    known = sorted({*names, WORD_EMBEDDINGS})
    for name in float32_layers:
        if name not in known:
            raise ValueError(
                f"export.float32_layers must be products of the model. Received: {name!r}."
                f"{alike_hint(name, known)} They are: {listed(known)}."
            )
    kept = set(float32_layers)
    # The scores of tokens are a product with the table: one cannot be had without the other.
    return kept | {MASKED_LM, WORD_EMBEDDINGS} if kept & {MASKED_LM, WORD_EMBEDDINGS} else kept


class _Watch:
    """Stands in for a product, computes the same, and keeps some of what comes in."""

    def __init__(self, product: _Product):
        self.product = product
        self.low = self.high = 0.0
        self._rows: list[np.ndarray] = []
        self._random = np.random.default_rng(0)

    def __call__(self, x: tf.Tensor, *, activation: str | None = None) -> tf.Tensor:
        rows = x.numpy().reshape(-1, x.shape[-1])
        self.low, self.high = min(self.low, rows.min()), max(self.high, rows.max())
        self._rows.append(self._random.permutation(rows)[:_LARGEST_SAMPLE])
        return self.product.compute(x, self.product.kernel, activation)

    @property
    def sample(self) -> np.ndarray:
        """Some rows, of all batches."""
        rows = np.concatenate(self._rows)
        return self._random.permutation(rows)[:_LARGEST_SAMPLE]


class _Simulated:
    """Stands in for a product and computes in float32 what int8 gives.

    Args:
        smoothing: what its input is divided by and its kernel multiplied with, a number a column.
    """

    def __init__(
        self,
        product: _Product,
        limits: Range,
        sample: np.ndarray,
        *,
        smoothing: np.ndarray | None = None,
    ):
        self.product = product
        self.limits = limits
        self.smoothing = smoothing
        columns, scales = quantized_columns(self._smooth_kernel)
        self.kernel = columns * scales
        smooth = self._smooth(sample)
        self.clipped = float(np.mean((smooth < limits.low) | (smooth > limits.high)))
        exact = sample @ product.kernel
        errors = quantized(smooth, limits) @ self.kernel - exact
        self.error = _size(errors) / max(_size(exact), 1e-30)

    def __call__(self, x: tf.Tensor, *, activation: str | None = None) -> tf.Tensor:
        rounded = quantized(self._smooth(x.numpy()), self.limits)
        return self.product.compute(rounded, self.kernel, activation)

    @property
    def _smooth_kernel(self) -> np.ndarray:
        kernel = self.product.kernel
        return kernel if self.smoothing is None else kernel * self.smoothing[:, np.newaxis]

    def _smooth(self, x: np.ndarray) -> np.ndarray:
        return x if self.smoothing is None else x / self.smoothing

    def told(self, *, effect: float, is_float32: bool) -> QuantizedLayer:
        return QuantizedLayer(
            self.product.name,
            low=float(self.limits.low),
            high=float(self.limits.high),
            clipped=self.clipped,
            error=self.error,
            effect=effect,
            is_smoothed=self.smoothing is not None,
            is_float32=is_float32,
        )

    def as_int8(self, table: Int8Table | None, *, before: "_Simulated | None") -> Int8Product:
        """`before`: the product whose input this one's output is."""
        if table is not None and self.product.name == MASKED_LM:
            return Int8Product(table.weights, self.product.bias, limits=self.limits)
        return Int8Product(
            Int8Weights(self._smooth_kernel),
            self.product.bias,
            limits=self.limits,
            smoothing=self.smoothing,
            output_limits=None if before is None or before.smoothing is not None else before.limits,
        )


def _next(name: str) -> str:
    """The product that reads the output of another as it is; none of other names."""
    layer, _, part = name.rpartition(".")
    return f"{layer}.output" if part == "intermediate" else ""


def _watch(
    model: Any, products: Iterable[_Product], batches: Sequence[Inputs]
) -> dict[str, _Watch]:
    watches = {product.name: _Watch(product) for product in products}
    for watch in watches.values():
        set_served_form(watch.product.layer, watch)
    for inputs in batches:
        model(inputs, training=False)
    for watch in watches.values():
        set_served_form(watch.product.layer, None)
    return watches


def _least_costly(watch: _Watch) -> _Simulated:
    """With the range, of some, that changes the product least."""
    sample, product = watch.sample, watch.product
    plain = _best(product, sample, None, low=watch.low, high=watch.high)
    if product.name == MASKED_LM:
        return plain  # its weights are the table, which texts are looked up in, too
    smoothing = _smoothing(sample, product.kernel)
    smooth = sample / smoothing
    low, high = min(0.0, float(smooth.min())), max(0.0, float(smooth.max()))
    smoothed = _best(product, sample, smoothing, low=low, high=high)
    # It costs a pass over the input.
    return smoothed if smoothed.error < _WORTH_SMOOTHING * plain.error else plain


def _best(
    product: _Product,
    sample: np.ndarray,
    smoothing: np.ndarray | None,
    *,
    low: float,
    high: float,
) -> _Simulated:
    tried = [
        _Simulated(product, limits, sample, smoothing=smoothing) for limits in _ranges(low, high)
    ]
    return min(tried, key=lambda form: form.error)


def _smoothing(sample: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(columns of the input): some of an input's large columns become large rows of the kernel.

    Source: Xiao et al. 2023 (SmoothQuant), equation 4, with alpha 1/2.
    """
    of_input = np.maximum(np.abs(sample).max(axis=0), 1e-5)
    of_kernel = np.maximum(np.abs(kernel).max(axis=1), 1e-5)
    ratios = np.sqrt(of_input / of_kernel)
    return (ratios / np.exp(np.log(ratios).mean())).astype(np.float32)


def _ranges(low: float, high: float) -> Iterator[Range]:
    for share in _CLIPPED:
        # A side that is short, such as that of GELU's negative values, is left whole.
        cut_low = low * share if -low > high / 4 else low
        cut_high = high * share if high > -low / 4 else high
        yield Range(cut_low, max(cut_high, cut_low + _LEAST_WIDTH))


def _effects(
    model: Any, simulated: Mapping[str, _Simulated], batches: Sequence[Inputs]
) -> dict[str, float]:
    """By name: how far the model's outputs move where this product alone is int8."""
    inputs = batches[len(batches) // 2]  # texts of a middling length
    exact = _flat(model(inputs, training=False))
    effects = {}
    for name, form in simulated.items():
        set_served_form(form.product.layer, form)
        moved = _flat(model(inputs, training=False)) - exact
        effects[name] = _size(moved) / max(_size(exact), 1e-30)
        set_served_form(form.product.layer, None)
    return effects


def _set_table(model: Any) -> Int8Table:
    embeddings = model.encoder.embeddings.word_embeddings
    table = Int8Table(embeddings.embeddings.numpy())
    set_served_form(embeddings, table)
    return table


def _flat(outputs: Any) -> np.ndarray:
    return np.concatenate([value.numpy().ravel() for value in tf.nest.flatten(outputs)])


def _size(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
