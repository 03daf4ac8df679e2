"""The operations of a stock TensorFlow Serving: reads the lists, and makes them.

    python -m bert_tf.exporting.serving_ops list > bert_tf/exporting/serving_ops.txt

The stock ModelServer of a release links the kernels of TensorFlow and the operations of
tensorflow-text (tensorflow/serving, `model_servers/BUILD`, `SUPPORTED_TENSORFLOW_OPS`): 2.20 those
of its own release, 2.13 to 2.19 those of tensorflow-text 2.12. The packages of these releases, from
the public index, register the same ones here, with some that only Python or a compiler has; those
are left out. What older releases lack is kept as differences. Each release needs its own packages,
and this file alone; then one call joins what they told:

    python serving_ops.py describe > tensorflow-2.16.json     # with tensorflow-cpu 2.16
    python serving_ops.py describe-text > text-2.12.json      # with tensorflow-text 2.12
    python -m bert_tf.exporting.serving_ops differences 2.16=tensorflow-2.16.json,text-2.12.json \\
        > bert_tf/exporting/serving_ops_older.txt
"""

import functools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LIST_FILE = Path(__file__).with_name("serving_ops.txt")
OLDER_FILE = Path(__file__).with_name("serving_ops_older.txt")
NEWEST = "2.20"
"""The list is of this release, and holds for later ones: operations are not taken away."""

# Kernels that call back into Python, or that need the just-in-time compiler or a TPU, which the
# stock ModelServer is built without.
_NOT_SERVED = re.compile(
    r"(Eager)?PyFunc(Stateless)?|_?X[Ll]a.*|.*TPU.*|.*Tpu.*|MlirPassthroughOp|_Mkl.*|ConstructionFails"
)
# An attribute that an older release does not know it leaves aside, with an error in its log. That
# changes what is computed, but for a name that people read.
_HARMLESS = "debug_name"


@functools.cache
def serving_ops() -> frozenset[str]:
    """Names of operations of `NEWEST`, from the list."""
    return frozenset(_lines(LIST_FILE))


@functools.cache
def missing_in_older() -> dict[str, frozenset[str]]:
    """Of each older release, such as `2.16`, what it lacks: `Operation`, `Operation.attribute`."""
    missing: dict[str, set[str]] = {}
    for line in _lines(OLDER_FILE):
        name, *versions = line.split()
        for version in versions:
            missing.setdefault(version, set()).add(name)
    return {version: frozenset(missing[version]) for version in sorted(missing, key=_order)}


def missing_in(version: str) -> frozenset[str]:
    """What a release lacks of `serving_ops`, as `missing_in_older` has it.

    Raises:
        ValueError: the release is older than those that are known.
    """
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", version):
        raise ValueError(
            f"A TensorFlow Serving version must be written like {NEWEST}. Received: {version!r}."
        )
    release = ".".join(version.split(".")[:2])
    if _order(release) >= _order(NEWEST):
        return frozenset()
    if release not in missing_in_older():
        raise ValueError(
            f"A TensorFlow Serving version must be {', '.join(missing_in_older())}, {NEWEST} or "
            f"later. Received: {version}. Its operations are not known."
        )
    return missing_in_older()[release]


def list_ops() -> list[str]:
    """Operations with a kernel for CPUs in the TensorFlow and tensorflow-text of this process."""
    import tensorflow_text  # noqa: F401

    return _registered()


def describe_ops() -> dict[str, list[str]]:
    """Names of operations as in `list_ops`, without tensorflow-text's, and their attributes."""
    from tensorflow.python.framework import op_def_registry

    return {
        name: sorted(attribute.name for attribute in op_def_registry.get(name).attr)
        for name in _registered()
        if op_def_registry.get(name)
    }


def describe_text_ops() -> dict[str, list[str]]:
    """As `describe_ops`, of those that tensorflow-text adds."""
    before = set(describe_ops())
    import tensorflow_text  # noqa: F401

    return {name: value for name, value in describe_ops().items() if name not in before}


def find_missing(
    newest: Mapping[str, Sequence[str]], older: Mapping[str, Sequence[str]]
) -> list[str]:
    """What `older` lacks of `newest`: `Operation`, and `Operation.attribute` of those it has."""
    missing = [name for name in newest if name not in older]
    for name in newest.keys() & older.keys():
        lacking = set(newest[name]) - set(older[name]) - {_HARMLESS}
        missing += [f"{name}.{attribute}" for attribute in lacking]
    return sorted(missing)


def _registered() -> list[str]:
    from tensorflow.python.framework import kernels

    registered = kernels.get_all_registered_kernels().kernel
    names = {kernel.op for kernel in registered if kernel.device_type in ("CPU", "DEFAULT")}
    return sorted(name for name in names if not _NOT_SERVED.fullmatch(name))


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _list_lines() -> list[str]:
    import importlib.metadata

    versions = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "tensorflow-text")
    )
    return [
        f"# Operations with CPU kernels in {versions}, from the public package index;",
        "# made by `python -m bert_tf.exporting.serving_ops list`.",
        *list_ops(),
    ]


def _difference_lines(arguments: Sequence[str]) -> list[str]:
    """Of `VERSION=FILE,FILE` each: a line a name, with the releases that lack it."""
    newest = describe_text_ops() | describe_ops()
    releases: dict[str, list[str]] = {}
    for argument in arguments:
        version, _, files = argument.partition("=")
        older: dict[str, Any] = {}
        for file in files.split(","):
            older |= json.loads(Path(file).read_text(encoding="utf-8"))
        for name in find_missing(newest, older):
            releases.setdefault(name, []).append(version)
    return [
        "# What older releases of TensorFlow Serving lack of serving_ops.txt: an operation, or",
        "# Operation.attribute, and the releases. From the published packages; made by",
        "# `python -m bert_tf.exporting.serving_ops differences`.",
        *(f"{name} {' '.join(releases[name])}" for name in sorted(releases)),
    ]


def main(command: str, *arguments: str) -> None:
    """Print a list, with its origin, or a description."""
    if command == "list":
        lines = _list_lines()
    elif command == "differences":
        lines = _difference_lines(arguments)
    else:
        describe = {"describe": describe_ops, "describe-text": describe_text_ops}[command]
        lines = [json.dumps(describe(), indent=0, sort_keys=True)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
