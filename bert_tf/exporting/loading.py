"""Loads a SavedModel into this process; one that is damaged says so with its path."""

from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from bert_tf.exporting.version_folders import saved_model_file


def load_saved_model(directory: str | Path) -> Any:
    """What `tf.saved_model.load` gives.

    Raises:
        ValueError: files are damaged or missing, or operations unknown to this TensorFlow. A
            damaged graph or cut variables make TensorFlow raise whatever it happens to trip over.
    """
    try:
        return tf.saved_model.load(str(directory))
    except MemoryError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise ValueError(
            f"{directory}: a SavedModel must be whole, and its operations known to this "
            f"TensorFlow ({tf.__version__}). Received: {type(error).__name__}: {reason}. Copy it "
            "again, or export the model again."
        ) from error


def read_graph(directory: str | Path) -> Any:
    """The `MetaGraphDef` that is served, of a SavedModel that need not be loaded.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: its file is damaged.
    """
    path = saved_model_file(directory)
    try:
        graphs = saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs
        reason = f"{len(graphs)} graphs"
    except DecodeError as error:
        graphs, reason = [], str(error)
    served = [graph for graph in graphs if tf.saved_model.SERVING in graph.meta_info_def.tags]
    if len(served) != 1:
        raise ValueError(
            f"{path}: must hold one graph with the tag {tf.saved_model.SERVING!r}. Received: "
            f"{reason}. Copy the SavedModel again, or export the model again."
        )
    return served[0]
