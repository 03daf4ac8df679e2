"""Attention with and without kernel on Keras' JAX backend: `test_attention_kernel.py`'s process.

    KERAS_BACKEND=jax python -m tests.layers.jax.kernel_results FOLDER

Reads FOLDER/cases.json and writes FOLDER/results.npz, arrays by "case/side/what". A side is "plain"
or "kernel", the latter computed by jax's interpreter; "exact" is plain in float32.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.extend import core as jax_core

from benchmarks.jax_step import initial_state, make_loss, make_model
from bert_tf.config import ModelConfig
from bert_tf.layers.attention import (
    MultiHeadAttention,
    causal_mask,
    combine_masks,
    padding_mask,
    sequence_mask,
)
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.jax.attention import attention_kernel

SEED = jnp.array([3, -5], jnp.int32)


def main() -> None:
    folder = Path(sys.argv[1])
    given = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    results: dict[str, Any] = {}
    for name, case in given["cases"].items():
        sides = {"plain": ("never", case["dtype"]), "kernel": ("interpreted", case["dtype"])}
        if case["dtype"] != "float32":
            sides["exact"] = ("never", "float32")
        for side, (use, dtype) in sides.items():
            results |= under(f"{name}/{side}", attended(case, use, dtype))
        results[f"{name}/lowered"] = lowered_for_gpu(case)
        results |= under(f"{name}/arrays", arrays_of_programs(case))
    for name, case in given["unfit"].items():
        results |= under(f"{name}/arrays", arrays_of_programs(case))
    batch = dict(np.load(folder / "batch.npz"))
    for name in given["model_cases"]:
        for side, use in (("plain", "never"), ("kernel", "interpreted")):
            results |= under(f"model/{name}/{side}", model_gradients(name, use, given, batch))
    np.savez(folder / "results.npz", **{name: np.asarray(x) for name, x in results.items()})


def under(name: str, results: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}/{key}": x for key, x in results.items()}


def attended(case: dict[str, Any], use: str, dtype: str) -> dict[str, Any]:
    """The context, and what of it reaches Q, K and V, for a random gradient of the context."""
    function, arrays, gradient = attention(case, use, dtype)
    context, vjp = jax.jit(lambda arrays: jax.vjp(function, arrays))(arrays)
    (of_arrays,) = jax.jit(vjp)(gradient.astype(context.dtype))
    results = {"context": context}
    names = ("query_key_value",) if len(arrays) == 1 else ("query", "key_value")
    for name, x in zip(names, of_arrays, strict=True):
        results[name] = x
    return {name: x.astype(jnp.float32) for name, x in results.items()}


def attention(case: dict[str, Any], use: str, dtype: str) -> tuple[Any, tuple[Any, ...], Any]:
    """What a layer makes of its projections, random projections, a random gradient."""
    width = case["heads"] * case["head_size"]
    layer = MultiHeadAttention(
        width,
        num_heads=case["heads"],
        dropout_rate=case["dropout"],
        initializer_range=0.02,
        dtype=f"mixed_{dtype}" if dtype != "float32" else dtype,
        name="attention",  # dropout draws from the layer's path
    )
    layer.build((None, None, width))
    rng = np.random.default_rng(0)
    batch, asking, answering = case["batch"], case["asking"], case["answering"]

    def random(length: int, parts: int) -> Any:
        values = jnp.asarray(rng.normal(size=(batch, length, parts * width)), case["dtype"])
        return values.astype(dtype)  # also exact ones are those that the other type can hold

    is_cross = case["is_cross"]
    arrays = (random(asking, 1), random(answering, 2)) if is_cross else (random(answering, 3),)
    gradient = random(asking, 1)
    mask = mask_of(case)

    def function(arrays: tuple[Any, ...]) -> Any:
        layer._project = lambda *arguments: arrays
        with dropout_seed(SEED), attention_kernel(use):
            context, _ = layer.context(None, attention_mask=mask, training=case["training"])
        return context

    return function, arrays, gradient


def mask_of(case: dict[str, Any]) -> Any:
    batch, asking, answering = case["batch"], case["asking"], case["answering"]
    places = np.arange(answering)[None, :]
    lengths = answering - np.arange(batch)[:, None] * (answering // 3)
    # With `dead` the last row of the batch has no token at all.
    lengths[-1] = 0 if "dead" in case["masks"] else lengths[-1]
    known = {
        "padding": lambda: padding_mask(places < lengths),
        "dead": lambda: padding_mask(places < lengths),
        "causal": lambda: causal_mask(answering),
        "sequences": lambda: sequence_mask(jnp.asarray(places // 10 + np.zeros((batch, 1), int))),
        "heads": lambda: jnp.asarray(
            np.random.default_rng(1).random((batch, case["heads"], asking, answering)) < 0.5
        ),
        "asking": lambda: jnp.asarray(np.arange(asking)[None, None, :, None] % 3 > 0),
    }
    return combine_masks(*(known[name]() for name in case["masks"]))


def lowered_for_gpu(case: dict[str, Any]) -> str:
    """The program of value and gradient for a GPU, made without one."""
    function, arrays, gradient = attention(case, "always", case["dtype"])

    def both(arrays: tuple[Any, ...], gradient: Any) -> Any:
        context, vjp = jax.vjp(function, arrays)
        return context, vjp(gradient)

    return jax.jit(both).trace(arrays, gradient).lower(lowering_platforms=("cuda",)).as_text()


def arrays_of_programs(case: dict[str, Any]) -> dict[str, Any]:
    """The most elements of an array outside of kernels, and how many kernels there are."""
    counts = {"scores": math.prod(case[x] for x in ("batch", "heads", "asking", "answering"))}
    for use in ("never", "on_gpu", "interpreted"):
        function, arrays, gradient = attention(case, use, case["dtype"])
        traced = jax.make_jaxpr(lambda x, g, f=function: jax.vjp(f, x)[1](g))(arrays, gradient)
        equations = list(equations_outside_of_kernels(traced.jaxpr))
        outputs = [x.aval for equation in equations for x in equation.outvars]
        counts[f"{use}/largest"] = max(aval.size for aval in outputs)
        counts[f"{use}/kernels"] = sum(x.primitive.name == "pallas_call" for x in equations)
    return counts


def equations_outside_of_kernels(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        if equation.primitive.name != "pallas_call":
            for inner in jax_core.jaxprs_in_params(equation.params):
                yield from equations_outside_of_kernels(inner)


def model_gradients(
    name: str, use: str, given: dict[str, Any], batch: dict[str, np.ndarray]
) -> dict[str, Any]:
    """The loss of a small BERT and its gradient by every weight."""
    model = make_model(
        ModelConfig(**given["architecture"]),
        precision="float32",
        rematerialize=given["model_cases"][name],
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        centre = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(rng.normal(centre, 0.1, variable.shape))
    with attention_kernel(use):
        compute = jax.jit(jax.value_and_grad(make_loss(model)))
        loss, gradients = compute(initial_state(model).weights, batch, SEED)
    paths = [variable.path for variable in model.trainable_variables]
    return {"loss": loss, **dict(zip(paths, gradients, strict=True))}


if __name__ == "__main__":
    main()
