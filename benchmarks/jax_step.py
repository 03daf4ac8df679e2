"""How long is one pretraining step on Keras' JAX backend, and how much of the machine does it use?

    python -m benchmarks.jax_step [--size base --batch-size 256 --precision bfloat16] [--peers]
        [--attention both]

Needs the layers of this package, keras, jax, numpy, ml_dtypes, pydantic and pyyaml, but not
TensorFlow. A whole step (forward with dropout 0.1, both losses, backward, clipping by the global
norm, AdamW) on one random batch, compiled as one program, its buffers donated; the median over
rounds of several steps. A large matrix product of the same type takes turns with it: what the
machine gives. Both are at jax's default precision, which for float32 may be less on a GPU.

Attention is one kernel on a GPU. `--attention plain` is the step without it, `--attention both` a
row of the table for either, which take turns. The memory of a step is the compiled program's:
weights, moments, batch, and what is kept in between.

MFU (model FLOPs utilisation) is the rate of the model's own arithmetic, counted as in
`bert_tf.models.flops`, as a share of the matrix product's.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a peer needs memory, too

import jax
import keras
from jax import numpy as jnp

from benchmarks.machine import describe_machine
from benchmarks.workload import POLICIES, make_batch, model_flops
from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.jax.attention import Use, attention_kernel, takes_kernel
from bert_tf.models.pretrainer import BertPretrainer

MATRIX_PRODUCTS = 8  # one after another, so that starting them costs nothing
# Google's own guard against a batch without predictions (run_pretraining.py).
EMPTY_GUARD = 1e-5

USES: dict[str, tuple[Use, ...]] = {
    "kernel": ("on_gpu",),
    "plain": ("never",),
    "both": ("on_gpu", "never"),
}

Batch = Mapping[str, Any]


class State(NamedTuple):
    """What a step changes: a list each, in the order of `model.trainable_variables`."""

    weights: list[jax.Array]
    first_moments: list[jax.Array]
    second_moments: list[jax.Array]
    num_updates: jax.Array


class Program(NamedTuple):
    """A compiled step of ours."""

    attention: str
    run: Callable[[int], jax.Array]  # takes so many steps, gives the last loss
    gibibytes: float  # arguments, results and what is between them
    first: float  # seconds to compile it and take a step


def main() -> None:
    """Time steps and matrix product in turn and print a Markdown table."""
    arguments = _parse()
    config = ModelConfig(size=arguments.size, vocab_size=30522)
    batch = make_batch(config, batch_size=arguments.batch_size, length=arguments.length, seed=0)
    uses: tuple[Use, ...] = USES[arguments.attention]
    programs = [_program(config, batch, arguments, use) for use in uses]
    multiply, matrix_flops = _matrix_product(arguments)
    _time(multiply)
    peers = _peers(config, batch, arguments) if arguments.peers else {}
    steps: list[list[float]] = [[] for _ in programs]
    products: list[float] = []
    of_peers: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(arguments.rounds):
        for program, times in zip(programs, steps, strict=True):
            times.append(_time(program.run, arguments.steps) / arguments.steps)
        products.append(_time(multiply))
        for name, run_peer in peers.items():
            of_peers[name].append(_time(run_peer, arguments.steps) / arguments.steps)
    medians = [statistics.median(times) for times in steps]
    matrix_rate = matrix_flops / statistics.median(products)
    _print_table(arguments, programs, medians, model_flops(config, batch), matrix_rate)
    for name, times in of_peers.items():
        peer = statistics.median(times)
        faster = ", ".join(
            f"{peer / seconds:.2f} ({program.attention})"
            for program, seconds in zip(programs, medians, strict=True)
        )
        print(
            f"{name}: {peer:.4f} s a step, {arguments.batch_size / peer:,.1f} sequences/s; ours is "
            f"so many times as fast: {faster}"
        )


def _peers(
    config: ModelConfig, batch: Batch, arguments: argparse.Namespace
) -> dict[str, Callable[[int], Any]]:
    """Hugging Face's step, as it is and compiled, warmed up; each takes so many steps."""
    from benchmarks.huggingface_step import huggingface_step

    def repeated(step: Callable[[], Any]) -> Callable[[int], Any]:
        def run(num_steps: int) -> float:
            for _ in range(num_steps):
                loss = step()
            return float(loss)  # waits for it

        return run

    peers = {}
    for name, is_compiled in (("Hugging Face", False), ("Hugging Face, torch.compile", True)):
        step = huggingface_step(
            config, dict(batch), POLICIES[arguments.precision], is_compiled=is_compiled
        )
        peers[name] = repeated(step)
        peers[name](3)
    return peers


def make_model(config: ModelConfig, *, precision: str, rematerialize: bool) -> BertPretrainer:
    """A built model with random weights."""
    model = BertPretrainer(config, rematerialize=rematerialize, dtype=POLICIES[precision])
    model.build(None)
    return model


def make_loss(model: BertPretrainer) -> Callable[[list[jax.Array], Batch, jax.Array], jax.Array]:
    """A function of (weights, batch, dropout seed): the two mean losses, added."""
    others = [variable.value for variable in model.non_trainable_variables]

    def loss(weights: list[jax.Array], batch: Batch, seed: jax.Array) -> jax.Array:
        with dropout_seed(seed):
            outputs, _ = model.stateless_call(weights, others, batch, training=True)
        return _mean_loss(
            outputs["masked_lm_logits"], batch["masked_lm_ids"], batch["masked_lm_weights"]
        ) + _mean_loss(
            outputs["next_sentence_logits"],
            batch["next_sentence_labels"],
            batch["next_sentence_weights"],
        )

    return loss


def make_step(
    model: BertPretrainer, config: OptimizerConfig
) -> Callable[[State, Batch, jax.Array], tuple[State, jax.Array]]:
    """A compiled function of (state, batch, dropout seed): the next state, in place, and the loss.

    The learning rate is `config.learning_rate` at every step.
    """
    loss = make_loss(model)

    def step(state: State, batch: Batch, seed: jax.Array) -> tuple[State, jax.Array]:
        value, gradients = jax.value_and_grad(loss)(state.weights, batch, seed)
        return update(state, clip(gradients, config.max_grad_norm), config), value

    return jax.jit(step, donate_argnums=0)


def initial_state(model: BertPretrainer) -> State:
    """The model's weights, copied since a step donates them, and moments of zero."""
    weights = [jnp.array(variable.value, copy=True) for variable in model.trainable_variables]
    return State(
        weights,
        [jnp.zeros_like(weight) for weight in weights],
        [jnp.zeros_like(weight) for weight in weights],
        jnp.zeros((), jnp.int32),
    )


def clip(gradients: list[jax.Array], max_norm: float) -> list[jax.Array]:
    """`gradients` scaled down to the global norm `max_norm` where theirs is greater."""
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
    return [gradient * (max_norm / jnp.maximum(norm, max_norm)) for gradient in gradients]


def update(state: State, gradients: list[jax.Array], config: OptimizerConfig) -> State:
    """AdamW as `bert_tf.training.optimizers` has it; vectors are not decayed."""
    num_updates = state.num_updates + 1
    count = num_updates.astype(jnp.float32)
    correction = jnp.sqrt(1.0 - config.beta_2**count) / (1.0 - config.beta_1**count)
    weights, firsts, seconds = [], [], []
    for weight, first, second, gradient in zip(*state[:3], gradients, strict=True):
        first = config.beta_1 * first + (1.0 - config.beta_1) * gradient
        second = config.beta_2 * second + (1.0 - config.beta_2) * jnp.square(gradient)
        decay = config.learning_rate * config.weight_decay_rate if weight.ndim > 1 else 0.0
        move = config.learning_rate * correction * first / (jnp.sqrt(second) + config.epsilon)
        weights.append(weight - decay * weight - move)
        firsts.append(first)
        seconds.append(second)
    return State(weights, firsts, seconds, num_updates)


def _mean_loss(logits: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    is_label = jnp.arange(logits.shape[-1]) == labels[..., None]
    of_label = jnp.sum(jnp.where(is_label, logits, 0.0), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - of_label
    return jnp.sum(losses * weights) / (jnp.sum(weights) + EMPTY_GUARD)


def _program(config: ModelConfig, batch: Batch, arguments: argparse.Namespace, use: Use) -> Program:
    """A step whose attention is that of `use`, compiled, and taken once."""
    keras.utils.set_random_seed(0)
    model = make_model(config, precision=arguments.precision, rematerialize=arguments.rematerialize)
    step, state = make_step(model, OptimizerConfig()), initial_state(model)
    batch = jax.device_put(dict(batch))
    head_size = config.hidden_size // config.num_attention_heads
    started_at = time.perf_counter()
    with attention_kernel(use):
        attention = "one kernel" if takes_kernel(head_size=head_size) else "plain"
        compiled = step.lower(state, batch, jnp.zeros(2, jnp.int32)).compile()

    def run(num_steps: int) -> jax.Array:
        nonlocal state
        for _ in range(num_steps):
            state, loss = compiled(state, batch, jnp.stack([0, state.num_updates]))
        return jax.block_until_ready((state, loss))[1]

    run(1)
    memory = compiled.memory_analysis()
    size = memory.argument_size_in_bytes + memory.output_size_in_bytes
    size += memory.temp_size_in_bytes - memory.alias_size_in_bytes
    return Program(attention, run, size / 2**30, time.perf_counter() - started_at)


def _matrix_product(arguments: argparse.Namespace) -> tuple[Callable[[], jax.Array], int]:
    """`MATRIX_PRODUCTS` products of square matrices one after another, and their FLOPs."""
    size = arguments.matrix_size
    x = jax.random.normal(jax.random.key(0), (size, size)).astype(arguments.precision)
    y = (jax.random.normal(jax.random.key(1), (size, size)) / size**0.5).astype(arguments.precision)

    @jax.jit
    def multiply(x: jax.Array, y: jax.Array) -> jax.Array:
        for _ in range(MATRIX_PRODUCTS):
            x = x @ y
        return x

    return lambda: jax.block_until_ready(multiply(x, y)), MATRIX_PRODUCTS * 2 * size**3


def _time(run: Callable[..., Any], *arguments: Any) -> float:
    started_at = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - started_at


def _print_table(
    arguments: argparse.Namespace,
    programs: list[Program],
    medians: list[float],
    flops: int,
    matrix_rate: float,
) -> None:
    device = jax.devices()[0]
    print(
        f"{arguments.precision}, median of {arguments.rounds} rounds of {arguments.steps} steps; "
        f"{device.device_kind} ({device.platform}), {describe_machine()}; jax {jax.__version__}, "
        f"keras {keras.__version__}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    print(
        "| model | batch | attention | layers' values | seconds a step | sequences/s | tokens/s "
        "| model TFLOP a step | TFLOP/s | matrix product, TFLOP/s | MFU | memory of a step, GiB "
        "| first step, s |"
    )
    print("|---" * 13 + "|")
    for program, seconds in zip(programs, medians, strict=True):
        sequences = arguments.batch_size / seconds
        print(
            f"| {arguments.size} | {arguments.batch_size} x {arguments.length} "
            f"| {program.attention} | {'recomputed' if arguments.rematerialize else 'kept'} "
            f"| {seconds:.4f} | {sequences:,.1f} | {sequences * arguments.length:,.0f} "
            f"| {flops / 1e12:.4f} | {flops / seconds / 1e12:.3f} | {matrix_rate / 1e12:.3f} "
            f"| {flops / seconds / matrix_rate:.1%} | {program.gibibytes:.1f} "
            f"| {program.first:.1f} |"
        )


def _parse() -> argparse.Namespace:
    on_cpu = jax.default_backend() == "cpu"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="mini" if on_cpu else "base")
    parser.add_argument("--batch-size", type=int, default=8 if on_cpu else 256)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--precision", choices=tuple(POLICIES), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=1 if on_cpu else 10, help="in a round")
    parser.add_argument("--matrix-size", type=int, default=1024 if on_cpu else 8192)
    parser.add_argument("--rematerialize", action="store_true")
    parser.add_argument("--attention", choices=tuple(USES), default="kernel")
    parser.add_argument("--peers", action="store_true", help="PyTorch and transformers, in turn")
    arguments = parser.parse_args()
    if arguments.attention == "both" and on_cpu:
        parser.error(
            "--attention both needs a GPU, for which the kernel is. Received: a CPU. Leave it out."
        )
    return arguments


if __name__ == "__main__":
    main()
