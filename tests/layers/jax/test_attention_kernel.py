"""Attention as one kernel on Keras' JAX backend, against the plain path of the same layer.

The kernel is computed by jax's interpreter, since it is for a GPU; that it compiles for one is
tested up to the program that XLA is given. What it takes there is measured by
`benchmarks/jax_step.py`. The JAX side is a process of its own, for a process has one backend.
"""

import importlib.util
import json
from typing import Any

import numpy as np
import pytest

from tests.layers.jax.backend_process import assert_same, run_on_jax, under
from tests.references import ARCHITECTURE, random_batch

# Needs jax, and its process compiles for two minutes, more on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Rounding of one value; the plain path rounds scores and weights, too.
TOLERANCES = {"float32": 1e-5, "float16": 2**-9, "bfloat16": 2**-6}


def case(length: int, *masks: str, **others: Any) -> dict[str, Any]:
    """Self-attention with dropout, two rows of two heads of 32, unless said otherwise."""
    return {
        "batch": 2,
        "heads": 2,
        "head_size": 32,
        "asking": length,
        "answering": length,
        "is_cross": False,
        "masks": masks,
        "dtype": "float32",
        "dropout": 0.3,
        "training": True,
        **others,
    }


CASES = {
    "no_mask": case(128),
    "heads_of_64": case(128, "padding", head_size=64),
    "heads_of_128": case(40, "padding", head_size=128),
    "no_whole_block": case(37, "padding"),
    "several_blocks_and_a_part": case(150, "padding", "sequences"),
    "causal": case(70, "causal"),
    "packed_rows_of_a_decoder": case(70, "padding", "causal", "sequences"),
    "rows_without_a_token": case(70, "dead"),
    "rows_that_may_attend_to_nothing": case(70, "padding", "asking"),
    "mask_of_each_head": case(37, "heads"),
    "long": case(512, "padding", batch=1),
    "without_dropout": case(70, "padding", dropout=0.0),
    "outside_of_training": case(70, "padding", training=False),
    "longer_memory": case(37, "padding", answering=128, is_cross=True),
    "shorter_memory": case(130, "dead", answering=5, is_cross=True),
}
CASES |= {
    f"{dtype}/{name}": {**CASES[name], "dtype": dtype, **others}
    for dtype in ("bfloat16", "float16")
    for name, others in {
        "several_blocks_and_a_part": {"head_size": 64},
        "heads_of_128": {},
        "longer_memory": {},
        "rows_without_a_token": {},
    }.items()
}
UNFIT = {"heads_of_24": case(37, "padding", head_size=24)}
MODEL_CASES = {"kept": False, "recomputed": True}  # layers' values
HEAD_SIZE = 32


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Everything that the JAX side computes, by name."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install jax")
    folder = tmp_path_factory.mktemp("jax")
    positions = (batch := random_batch())["masked_lm_positions"]
    rng = np.random.default_rng(1)
    np.savez(
        folder / "batch.npz",
        **batch,
        masked_lm_ids=rng.integers(0, ARCHITECTURE.vocab_size, positions.shape, np.int32),
        masked_lm_weights=np.ones(positions.shape, np.float32),
        next_sentence_labels=rng.integers(0, 2, len(positions), np.int32),
        next_sentence_weights=np.ones(len(positions), np.float32),
    )
    architecture = {
        **ARCHITECTURE.model_dump(exclude_none=True),
        "hidden_size": HEAD_SIZE * ARCHITECTURE.num_attention_heads,
        "hidden_dropout_prob": 0.3,
        "attention_probs_dropout_prob": 0.3,
    }
    given = {
        "cases": CASES,
        "unfit": UNFIT,
        "model_cases": MODEL_CASES,
        "architecture": architecture,
    }
    (folder / "cases.json").write_text(json.dumps(given), encoding="utf-8")
    return run_on_jax("-m", "tests.layers.jax.kernel_results", folder=folder)


@pytest.mark.parametrize("name", CASES)
def test_context_and_gradients_are_the_plain_paths(results, name):
    """With dropout, too: both draw the same mask from the same seed."""
    expected = under(results, f"{name}/plain")
    assert np.abs(expected["context"]).max() > 0.1
    dtype = CASES[name]["dtype"]
    assert_same(under(results, f"{name}/kernel"), expected, tolerance=TOLERANCES[dtype])


@pytest.mark.parametrize("name", [name for name in CASES if "/" in name])
def test_half_precision_is_as_near_to_float32_as_the_plain_path(results, name):
    def distances(of: str) -> dict[str, float]:
        exact, given = under(results, f"{name}/exact"), under(results, f"{name}/{of}")
        return {key: np.sqrt(np.mean((given[key] - exact[key]) ** 2)) for key in exact}

    plain, kernel = distances("plain"), distances("kernel")
    assert all(kernel[key] < 1.05 * plain[key] for key in plain), (plain, kernel)


@pytest.mark.parametrize("name", ["no_mask", "several_blocks_and_a_part", "long"])
def test_no_array_outside_of_the_kernels_has_the_size_of_the_scores(results, name):
    """Of value and gradient. In these cases Q, K and V together are smaller than the scores."""
    counts = under(results, f"{name}/arrays")
    assert counts["never/largest"] >= counts["scores"]
    assert counts["interpreted/largest"] < counts["scores"]


@pytest.mark.parametrize("name", CASES)
def test_kernels_are_taken_on_a_gpu_alone(results, name):
    """Three: forward; keys and values; queries."""
    counts = under(results, f"{name}/arrays")
    assert [counts[f"{use}/kernels"] for use in ("interpreted", "never", "on_gpu")] == [3, 0, 0]


def test_heads_that_do_not_fit_take_the_plain_path(results):
    assert results["heads_of_24/arrays/interpreted/kernels"] == 0


@pytest.mark.parametrize("name", CASES)
def test_kernels_are_lowered_for_a_gpu(results, name):
    program = str(results[f"{name}/lowered"])
    for kernel in ("forward", "backward_answering", "backward_asking"):
        assert f"attention_{kernel}" in program


@pytest.mark.parametrize("name", MODEL_CASES)
def test_loss_and_gradients_of_a_model_are_those_of_the_plain_path(results, name):
    expected = under(results, f"model/{name}/plain")
    assert len(expected) > 30
    assert expected["loss"] > 1.0
    assert_same(under(results, f"model/{name}/kernel"), expected, tolerance=1e-5)
