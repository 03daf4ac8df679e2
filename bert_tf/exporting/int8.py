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

from bert_tf.exporting.calibration import Product, Simulated, Watch, least_costly
from bert_tf.exporting.closeness import relative_error
from bert_tf.layers.served_form import set_served_form
from bert_tf.layers.tensorflow.int8 import Int8Product, Int8Table, Int8Weights
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint

QUANTIZATION_FILE = "quantization.json"
"""In an export's `assets.extra`: products, and what each loses."""
WORD_EMBEDDINGS = "word_embeddings"
MASKED_LM = "masked_lm"

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
    simulated = {name: least_costly(watch) for name, watch in watched.items()}
    effects = _effects(model, simulated, batches)
    report = [
        _told(form, effect=effects[name], is_float32=name in kept)
        for name, form in simulated.items()
    ]
    table = _set_table(model) if WORD_EMBEDDINGS not in kept else None
    int8 = {name: form for name, form in simulated.items() if name not in kept}
    for name, form in int8.items():
        set_served_form(form.product.layer, _as_int8(form, table, before=int8.get(_next(name))))
    return sorted(report, key=lambda layer: -layer.effect)


def _products(model: Any) -> Iterator[Product]:
    for layer in model.encoder.transformer_layers:
        for part, dense in (
            ("attention.query_key_value", layer.attention.query_key_value),
            ("attention.output", layer.attention.output_projection),
            ("intermediate", layer.intermediate),
            ("output", layer.output_projection),
        ):
            yield Product(f"{layer.name}.{part}", dense, dense.kernel.numpy(), dense.bias.numpy())
    if getattr(model, "has_masked_lm", False):
        head = model.masked_lm
        table = model.encoder.embeddings.tied_table.numpy()
        # Its weights are the table, which texts are looked up in, too.
        yield Product(MASKED_LM, head, table.T, head.bias.numpy(), may_be_smoothed=False)


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


def _told(form: Simulated, *, effect: float, is_float32: bool) -> QuantizedLayer:
    return QuantizedLayer(
        form.product.name,
        low=float(form.limits.low),
        high=float(form.limits.high),
        clipped=form.clipped,
        error=form.error,
        effect=effect,
        is_smoothed=form.smoothing is not None,
        is_float32=is_float32,
    )


def _as_int8(form: Simulated, table: Int8Table | None, *, before: Simulated | None) -> Int8Product:
    """`before`: the product whose input this one's output is."""
    bias, limits = form.product.bias, form.limits
    if table is not None and form.product.name == MASKED_LM:
        return Int8Product(table.weights, bias, limits=limits)
    return Int8Product(
        Int8Weights(form.smooth_kernel),
        bias,
        limits=limits,
        smoothing=form.smoothing,
        output_limits=None if before is None or before.smoothing is not None else before.limits,
    )


def _next(name: str) -> str:
    """The product that reads the output of another as it is; none of other names."""
    layer, _, part = name.rpartition(".")
    return f"{layer}.output" if part == "intermediate" else ""


def _watch(model: Any, products: Iterable[Product], batches: Sequence[Inputs]) -> dict[str, Watch]:
    watches = {product.name: Watch(product) for product in products}
    for watch in watches.values():
        set_served_form(watch.product.layer, watch)
    for inputs in batches:
        model(inputs, training=False)
    for watch in watches.values():
        set_served_form(watch.product.layer, None)
    return watches


def _effects(
    model: Any, simulated: Mapping[str, Simulated], batches: Sequence[Inputs]
) -> dict[str, float]:
    """By name: how far the model's outputs move where this product alone is int8."""
    inputs = batches[len(batches) // 2]  # texts of a middling length
    exact = _flat(model(inputs, training=False))
    effects = {}
    for name, form in simulated.items():
        set_served_form(form.product.layer, form)
        moved = _flat(model(inputs, training=False)) - exact
        effects[name] = relative_error(moved, exact)
        set_served_form(form.product.layer, None)
    return effects


def _set_table(model: Any) -> Int8Table:
    embeddings = model.encoder.embeddings.word_embeddings
    table = Int8Table(embeddings.embeddings.numpy())
    set_served_form(embeddings, table)
    return table


def _flat(outputs: Any) -> np.ndarray:
    return np.concatenate([value.numpy().ravel() for value in tf.nest.flatten(outputs)])
