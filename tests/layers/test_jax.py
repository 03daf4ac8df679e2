"""The layers on Keras' JAX backend, without TensorFlow, against the same layers on TensorFlow.

The JAX side is one process of its own, for a process has one backend.
"""

import importlib.util
import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.dropout_mask import dropout_mask
from bert_tf.models.pretrainer import BertPretrainer
from bert_tf.training.engine.objective import PretrainingObjective, total_loss
from bert_tf.training.optimizers import make_optimizer
from tests.layers.jax.backend_process import assert_same, run_on_jax, under
from tests.references import ARCHITECTURE, random_batch, randomize

pytestmark = pytest.mark.slow  # needs jax, and its process compiles for half a minute

SEED = [3, -5]
RATES = {"rate": 0.2, "scale": 1.25}
MASK_SHAPES = [(7,), (3, 5), (2, 3, 11, 11)]
DROPOUTS = {"no_dropout": 0.0, "dropout": 0.3}
OPTIMIZER = OptimizerConfig(
    learning_rate=0.01, warmup_share=0.0, schedule="constant", constant_share=1.0, max_grad_norm=0.5
)
NUM_UPDATES = 3

JAX_SIDE = """
import json, sys
sys.modules["tensorflow"] = None  # an import of it fails
from pathlib import Path
import numpy as np
from benchmarks.jax_step import (
    clip, initial_state, make_loss, make_model, make_step, update
)
from benchmarks.workload import model_flops
import jax
from jax import numpy as jnp
from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.layers.dropout_mask import dropout_mask

folder = Path(sys.argv[1])
given = json.loads((folder / "given.json").read_text())
batch, values = (dict(np.load(folder / f"{name}.npz")) for name in ("batch", "weights"))
seed, results = jnp.array(given["seed"], jnp.int32), {}

def model_with(dropout, precision="float32", rematerialize=False):
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = ModelConfig(**{**given["architecture"], **rates})
    model = make_model(config, precision=precision, rematerialize=rematerialize)
    for variable in model.trainable_variables:
        variable.assign(values[variable.path])
    return model

for index, shape in enumerate(given["mask_shapes"]):
    mask = lambda seed: dropout_mask(tuple(shape), seed, **given["rates"])
    results[f"mask/{index}/eager"] = mask(seed)
    results[f"mask/{index}/compiled"] = jax.jit(mask)(seed)

def keep(name, model):
    weights = initial_state(model).weights
    loss, gradients = jax.jit(jax.value_and_grad(make_loss(model)))(weights, batch, seed)
    results[f"{name}/loss"] = loss
    for variable, gradient in zip(model.trainable_variables, gradients):
        results[f"{name}/{variable.path}"] = gradient

for name, dropout in given["dropouts"].items():
    keep(name, model_with(dropout))
keep("recomputed", model_with(given["dropouts"]["dropout"], rematerialize=True))
for rematerialize in (False, True):
    keep(f"bfloat16/{rematerialize}", model_with(0.3, "bfloat16", rematerialize))

def product_flops(jaxpr):
    total = 0
    for equation in jaxpr.eqns:
        total += sum(map(product_flops, jax.core.jaxprs_in_params(equation.params)))
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, (output,) = equation.invars[0].aval.shape, equation.outvars
            total += 2 * output.aval.size * int(np.prod([left[axis] for axis in contracted]))
    return total

for rematerialize in (False, True):
    model = model_with(0.3, rematerialize=rematerialize)
    traced = jax.make_jaxpr(jax.grad(make_loss(model)))(initial_state(model).weights, batch, seed)
    results[f"flops/{rematerialize}"] = product_flops(traced.jaxpr)
results["flops/model"] = model_flops(model.config, batch)

optimizer, model = OptimizerConfig(**given["optimizer"]), model_with(0.0)
gradients = [results[f"no_dropout/{variable.path}"] for variable in model.trainable_variables]
state, apply = initial_state(model), jax.jit(lambda state: update(state, clipped, optimizer))
clipped = clip(gradients, optimizer.max_grad_norm)
for _ in range(given["num_updates"]):
    state = apply(state)
for variable, weight in zip(model.trainable_variables, state.weights):
    results[f"updated/{variable.path}"] = weight

model = model_with(0.3)
step, state = make_step(model, optimizer), initial_state(model)
losses = []
for index in range(8):
    state, loss = step(state, batch, jnp.array([index, 0]))
    losses.append(float(loss))
results["losses"] = losses
np.savez(folder / "results.npz", **{name: np.asarray(x) for name, x in results.items()})
"""


def make_model(dropout: float) -> BertPretrainer:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    model = BertPretrainer(ARCHITECTURE.model_copy(update=rates))
    model.build(None)
    randomize(model)
    return model


def make_batch() -> dict[str, np.ndarray]:
    """With padding, and with predictions that do not count."""
    inputs = random_batch()
    positions = inputs["masked_lm_positions"]
    rng = np.random.default_rng(1)
    return {
        **inputs,
        "masked_lm_ids": rng.integers(0, ARCHITECTURE.vocab_size, positions.shape, np.int32),
        "masked_lm_weights": (rng.random(positions.shape) < 0.7).astype(np.float32),
        "next_sentence_labels": rng.integers(0, 2, len(positions), np.int32),
        "next_sentence_weights": np.ones(len(positions), np.float32),
    }


@pytest.fixture(scope="module")
def jax_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Everything that the JAX side computes, by name."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install jax")
    folder = tmp_path_factory.mktemp("jax")
    model = make_model(0.0)
    np.savez(folder / "batch.npz", **make_batch())
    np.savez(
        folder / "weights.npz",
        **{variable.path: variable.numpy() for variable in model.trainable_variables},
    )
    given = {
        "architecture": ARCHITECTURE.model_dump(exclude_none=True),
        "seed": SEED,
        "mask_shapes": MASK_SHAPES,
        "rates": RATES,
        "dropouts": DROPOUTS,
        "optimizer": OPTIMIZER.model_dump(),
        "num_updates": NUM_UPDATES,
    }
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    return run_on_jax("-c", JAX_SIDE, folder=folder)


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("index", range(len(MASK_SHAPES)))
def test_masks_are_tensorflows_bit_by_bit(jax_results, index, how):
    expected = dropout_mask(MASK_SHAPES[index], tf.constant(SEED), **RATES)
    np.testing.assert_array_equal(jax_results[f"mask/{index}/{how}"], expected)


def tensorflow_loss_and_gradients(dropout: float) -> dict[str, Any]:
    model, objective = make_model(dropout), PretrainingObjective()
    batch = {name: tf.constant(value) for name, value in make_batch().items()}
    variables = model.trainable_variables

    @tf.function
    def compute() -> Any:
        with tf.GradientTape() as tape, dropout_seed(tf.constant(SEED)):
            sums = objective.sums(model(batch, training=True), batch)
            loss = total_loss(sums.loss, objective.weights(batch))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    loss, gradients = compute()
    paths = [variable.path for variable in variables]
    return {"loss": loss, **dict(zip(paths, gradients, strict=True))}


@pytest.mark.parametrize("name", DROPOUTS)
def test_loss_and_gradients_are_tensorflows(jax_results, name):
    """With dropout, too: every layer of either backend draws the same mask."""
    expected = tensorflow_loss_and_gradients(DROPOUTS[name])
    assert_same(under(jax_results, name), expected, tolerance=1e-5)


def test_updates_are_tensorflows(jax_results):
    model = make_model(0.0)
    optimizer = make_optimizer(model, config=OPTIMIZER, num_steps=NUM_UPDATES)
    gradients = [jax_results[f"no_dropout/{v.path}"] for v in model.trainable_variables]
    clipped, norm = tf.clip_by_global_norm(gradients, OPTIMIZER.max_grad_norm)
    assert norm > OPTIMIZER.max_grad_norm
    for step in range(NUM_UPDATES):
        optimizer.apply(clipped, step=tf.constant(step, tf.int64))
    expected = {variable.path: variable.numpy() for variable in model.trainable_variables}
    assert_same(under(jax_results, "updated"), expected, tolerance=1e-5)


@pytest.mark.parametrize(
    ("once", "twice", "tolerance"),
    [("dropout", "recomputed", 1e-6), ("bfloat16/False", "bfloat16/True", 0.03)],
)
def test_recomputed_layers_give_loss_and_gradients_of_one_pass(jax_results, once, twice, tolerance):
    ours, expected = (under(jax_results, name) for name in (twice, once))
    assert_same(ours, expected, tolerance=tolerance)


def test_model_flops_are_those_of_the_matrix_products(jax_results):
    """But for the segments' one-hot product; recomputing adds the layers' forward pass."""
    config, (batch_size, length) = ARCHITECTURE, make_batch()["input_ids"].shape
    tokens, width = batch_size * length, config.hidden_size
    segments = 2 * 2 * tokens * config.type_vocab_size * width
    kept, recomputed = (int(jax_results[f"flops/{name}"]) for name in (False, True))
    assert kept - segments == jax_results["flops/model"]
    of_token = 8 * width**2 + 4 * width * config.intermediate_size + 4 * length * width
    assert recomputed - kept == config.num_hidden_layers * tokens * of_token


def test_compiled_steps_learn_the_batch(jax_results):
    losses = jax_results["losses"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] - 0.3
