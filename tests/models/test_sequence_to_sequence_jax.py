"""The encoder-decoder on Keras' JAX backend, without TensorFlow, against the same on TensorFlow.

The JAX side is one process of its own, for a process has one backend.
"""

import importlib.util
import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.dropout import dropout_seed
from bert_tf.models.tensors import weights_by_name
from tests.layers.jax.backend_process import assert_same, run_on_jax, under
from tests.models.small_transformer import KINDS, make_batch, make_model

pytestmark = pytest.mark.slow  # needs jax, and its process compiles for half a minute

SEED = [3, -5]
USES = {"post-LN": ["never", "interpreted"], "pre-LN": ["never"], "separate_tables": ["never"]}
"""Of attention as one kernel, which jax interprets slowly."""
DROPOUT = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}

JAX_SIDE = """
import json, sys
sys.modules["tensorflow"] = None  # an import of it fails
from pathlib import Path
import numpy as np
import jax
from jax import numpy as jnp
from bert_tf.config import ModelConfig
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.jax.attention import attention_kernel
from bert_tf.models.sequence_to_sequence import EncoderDecoder

folder = Path(sys.argv[1])
given, results = json.loads((folder / "given.json").read_text()), {}
batch = {name: jnp.asarray(x) for name, x in np.load(folder / "batch.npz").items()}

for name, settings in given["architectures"].items():
    values = np.load(folder / f"{name}.npz")
    for use in given["uses"][name]:
        model = EncoderDecoder(ModelConfig(**settings), rematerialize=use == "never")
        model.build(None)
        for weight in model.weights:
            weight.assign(values[weight.path])

        others = [variable.value for variable in model.non_trainable_variables]

        def loss(weights):
            with dropout_seed(jnp.array(given["seed"], jnp.int32)):
                logits, _ = model.stateless_call(weights, others, batch, training=True)
            return jnp.mean(logits**2)

        with attention_kernel(use):
            compute = jax.jit(jax.value_and_grad(loss))
            value, gradients = compute([w.value for w in model.trainable_variables])
            results[f"{name}/{use}/loss"] = value
            for variable, gradient in zip(model.trainable_variables, gradients):
                results[f"{name}/{use}/{variable.path}"] = gradient
            results[f"{name}/{use}/logits"] = model(batch)

    memory, cache = model.begin(batch)
    steps = []
    for position in range(6):
        ids = batch["decoder_input_ids"][:, position : position + 1]
        logits, cache = model.step(ids, jnp.int32(position), memory, cache)
        steps.append(logits[:, 0])
    results[f"steps/{name}"] = jnp.stack(steps, axis=1)
np.savez(folder / "results.npz", **{name: np.asarray(x) for name, x in results.items()})
"""


def models() -> dict[str, Any]:
    return {
        name.replace(" ", "_"): make_model(**kind, **DROPOUT, num_attention_heads=1, hidden_size=16)
        for name, kind in KINDS.items()
        if name.replace(" ", "_") in USES
    }


@pytest.fixture(scope="module")
def jax_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install jax")
    folder = tmp_path_factory.mktemp("jax")
    np.savez(folder / "batch.npz", **make_batch())
    architectures = {}
    for name, model in models().items():
        np.savez(folder / f"{name}.npz", **{w.path: np.asarray(w) for w in model.weights})
        architectures[name] = model.config.model_dump()
    given = {"architectures": architectures, "seed": SEED, "uses": USES}
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    return run_on_jax("-c", JAX_SIDE, folder=folder)


@pytest.mark.parametrize(("name", "use"), [(name, use) for name in USES for use in USES[name]])
def test_logits_loss_and_every_gradient_with_dropout_are_tensorflows(jax_results, name, use):
    """By the plain path, layers computed twice, and with attention as one kernel."""
    model, batch = models()[name], make_batch()
    weights = weights_by_name(model)
    with tf.GradientTape() as tape, dropout_seed(tf.constant(SEED)):
        loss = tf.reduce_mean(model(batch, training=True) ** 2)
    gradients = tape.gradient(loss, [weight.value for weight in weights.values()])
    expected = {
        f"sequence_to_sequence/{weight}": np.asarray(tf.convert_to_tensor(gradient))
        for weight, gradient in zip(weights, gradients, strict=True)
    }
    expected |= {"loss": np.asarray(loss), "logits": np.asarray(model(batch))}
    assert_same(under(jax_results, f"{name}/{use}"), expected, tolerance=1e-5)


@pytest.mark.parametrize("name", USES)
def test_cached_steps_are_the_full_pass(jax_results, name):
    logits = np.asarray(models()[name](make_batch()))
    np.testing.assert_allclose(jax_results[f"steps/{name}"], logits, atol=1e-5)
