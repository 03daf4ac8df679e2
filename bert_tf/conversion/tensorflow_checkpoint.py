"""TensorFlow checkpoint files, `PREFIX.index` and `PREFIX.data-*`: found, opened, read by tensor.

Both kinds are such files: TF1's, whose tensors have the names of variables, and TF2's, which hold
the graph of Python objects as well (`OBJECT_GRAPH`) and name tensors by a path in it.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.models.tensors import Reader, Shape
from bert_tf.system.listing import listed

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
INDEX_SUFFIX = ".index"


def is_checkpoint(path: Path, *, has_object_graph: bool) -> bool:
    """Whether there is such a checkpoint at `path`, a folder or a prefix.

    A damaged one counts as TF1's, so that opening it tells what is wrong.
    """
    prefixes = _prefixes(path)
    if not prefixes:
        return False
    try:
        shapes, _ = _open(prefixes[0])
    except ValueError:
        return not has_object_graph
    return (OBJECT_GRAPH in shapes) == has_object_graph


def open_tensors(path: Path) -> tuple[Path, dict[str, Shape], Reader]:
    """The prefix of the checkpoint at `path`, all shapes by name, and a reader of one tensor.

    Args:
        path: a prefix, or a folder with one checkpoint.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the folder holds several, or the files are damaged; `read` raises it, too.
    """
    prefixes = _prefixes(path)
    if not prefixes:
        raise FileNotFoundError(
            f"{path}: a TensorFlow checkpoint must be there. Received: no file that ends in "
            f"{INDEX_SUFFIX}. Give a folder with one, or a path without {INDEX_SUFFIX}."
        )
    if len(prefixes) > 1:
        raise ValueError(
            f"{path}: the folder must hold one checkpoint. Received: "
            f"{listed(prefix.name for prefix in prefixes)}. Give one of these paths."
        )
    return prefixes[0], *_open(prefixes[0])


def _prefixes(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file.with_suffix("") for file in path.glob(f"*{INDEX_SUFFIX}"))
    return [path] if path.with_name(path.name + INDEX_SUFFIX).is_file() else []


def _open(prefix: Path) -> tuple[dict[str, Shape], Reader]:
    try:
        checkpoint = tf.train.load_checkpoint(str(prefix))
        shapes = checkpoint.get_variable_to_shape_map()
    except tf.errors.OpError as error:
        raise _damaged(prefix, error) from error

    def read(name: str) -> Any:
        try:
            return checkpoint.get_tensor(name)
        except (tf.errors.OpError, IndexError, RuntimeError) as error:
            raise _damaged(prefix, error, tensor=name) from error

    return {name: tuple(shape) for name, shape in shapes.items()}, read


def _damaged(prefix: Path, error: Exception, *, tensor: str | None = None) -> ValueError:
    message = getattr(error, "message", None) or str(error)
    what = f"{tensor}: {message}" if tensor else message
    return ValueError(
        f"{prefix}: must be a whole TensorFlow checkpoint ({INDEX_SUFFIX} and .data files). "
        f"Received: {what}. Copy or download it again."
    )
