"""What does one pretraining step on Keras' JAX backend need on a GPU that is not at hand?

    JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1 python -m benchmarks.jax_compiled [--batch-size 64]
        [--length 512]

Compiles `benchmarks.jax_step`'s step for an H200, with attention as one kernel and without, and
prints the memory of either and what its kernels read and write: every array once for each kernel
that takes or gives it. XLA tries nothing out here, so that on the GPU itself it may choose other
matrix products. Needs what `benchmarks.jax_step` does, and of the same version as jax the packages
jax-cuda12-plugin and jax-cuda12-pjrt, with nvidia-cuda-nvcc-cu12's `ptxas` on the PATH.
"""

import argparse
import importlib.metadata
import math
import re
from datetime import UTC, datetime

import jax
from jax import numpy as jnp
from jax.experimental import topologies

from benchmarks.jax_step import initial_state, make_model, make_step
from benchmarks.workload import POLICIES, make_batch
from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.layers.jax.attention import Use, attention_kernel

# XLA's description of the device, as it writes it for a real one.
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: 233472
  shared_memory_per_block_optin: 232448
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000
  l2_cache_size: 62914560
  clock_rate_ghz: 1.755
  device_memory_size: 150000000000
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  cuda_compute_capability { major: 9 minor: 0 feature_extension: ACCELERATED_FEATURES }
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 1 }
runtime_version { major: 12 minor: 9 }
device_description_str: "NVIDIA H200"
"""
ITEM_SIZES = {"bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4, "s8": 1, "pred": 1}
NO_KERNELS = {"bitcast", "constant", "get-tuple-element", "parameter", "tuple"}

INSTRUCTION = re.compile(r"\s+(?:ROOT )?%([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*?)\)(?:, |$)")


def main() -> None:
    """Compile both and print a Markdown table."""
    arguments = _parse()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "keras"))
    print(f"{arguments.precision}; {versions}; {datetime.now(UTC):%Y-%m-%d}\n")
    print("| model | batch | attention | kernels | memory of a step, GiB | read and written, GB |")
    print("|---" * 6 + "|")
    sides: dict[str, Use] = {"plain": "never", "one kernel": "always"}
    for attention, use in sides.items():
        with attention_kernel(use):
            compiled = _compile(arguments)
        memory = compiled.memory_analysis()
        size = memory.argument_size_in_bytes + memory.output_size_in_bytes
        size += memory.temp_size_in_bytes - memory.alias_size_in_bytes
        num_kernels, traffic = count_traffic(compiled.as_text())
        print(
            f"| {arguments.size} | {arguments.batch_size} x {arguments.length} | {attention} "
            f"| {num_kernels:,} | {size / 2**30:.1f} | {traffic / 1e9:.0f} |"
        )


def count_traffic(program: str) -> tuple[int, int]:
    """How many kernels an optimised HLO program has, and the bytes that they take and give.

    "%a = f32[8]{0} parameter(0)\\n %b = f32[8]{0} fusion(%a)" after "ENTRY" -> 1, 64
    """
    sizes: dict[str, int] = {}
    num_kernels = traffic = 0
    for line in program[program.index("\nENTRY") :].splitlines():
        if not (found := INSTRUCTION.match(line)):
            continue
        name, shapes, operation, operands = found.groups()
        sizes[name] = sum(
            ITEM_SIZES.get(kind, 0) * math.prod(int(axis) for axis in axes.split(",") if axis)
            for kind, axes in re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        )
        if operation not in NO_KERNELS:
            num_kernels += 1
            given = set(re.findall(r"%([\w.-]+)", operands))
            traffic += sizes[name] + sum(sizes.get(operand, 0) for operand in given)
    return num_kernels, traffic


def _compile(arguments: argparse.Namespace) -> jax.stages.Compiled:
    devices = topologies.get_topology_desc(
        platform="cuda", topology_name="h200", target_config=H200, topology="1x1x1"
    )
    on_device = jax.sharding.NamedSharding(
        topologies.make_mesh(devices, (1,), ("device",)), jax.sharding.PartitionSpec()
    )
    config = ModelConfig(size=arguments.size, vocab_size=30522)
    batch = make_batch(config, batch_size=arguments.batch_size, length=arguments.length, seed=0)
    model = make_model(config, precision=arguments.precision, rematerialize=arguments.rematerialize)
    given = (jax.eval_shape(lambda: initial_state(model)), dict(batch), jnp.zeros(2, jnp.int32))
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=on_device), given
    )
    return make_step(model, OptimizerConfig()).lower(*shapes).compile()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--precision", choices=tuple(POLICIES), default="bfloat16")
    parser.add_argument("--rematerialize", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
