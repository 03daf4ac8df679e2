"""The operations of a stock TensorFlow Serving: reads the list, and makes it.

    python -m bert_tf.exporting.serving_ops > bert_tf/exporting/serving_ops.txt

The stock ModelServer of a release links the kernels of TensorFlow and the operations of
tensorflow-text of the same release (tensorflow/serving, `model_servers/BUILD`,
`SUPPORTED_TENSORFLOW_OPS`). Both packages of that release, from the public index, register the same
ones here, with some that only Python or a compiler has; those are left out.
"""

import functools
import re
import sys
from pathlib import Path

LIST_FILE = Path(__file__).with_name("serving_ops.txt")

# Kernels that call back into Python, or that need the just-in-time compiler or a TPU, which the
# stock ModelServer is built without.
_NOT_SERVED = re.compile(
    r"(Eager)?PyFunc(Stateless)?|_?X[Ll]a.*|.*TPU.*|.*Tpu.*|MlirPassthroughOp|_Mkl.*|ConstructionFails"
)


@functools.cache
def serving_ops() -> frozenset[str]:
    """Names of operations, from the list."""
    lines = LIST_FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def list_ops() -> list[str]:
    """Operations with a kernel for CPUs in the TensorFlow and tensorflow-text of this process."""
    import tensorflow_text  # noqa: F401
    from tensorflow.python.framework import kernels

    registered = kernels.get_all_registered_kernels().kernel
    names = {kernel.op for kernel in registered if kernel.device_type in ("CPU", "DEFAULT")}
    return sorted(name for name in names if not _NOT_SERVED.fullmatch(name))


def main() -> None:
    """Print the list, with its origin."""
    import importlib.metadata

    versions = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "tensorflow-text")
    )
    lines = [
        f"# Operations with CPU kernels in {versions}, from the public package index;",
        "# made by `python -m bert_tf.exporting.serving_ops`.",
        *list_ops(),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
