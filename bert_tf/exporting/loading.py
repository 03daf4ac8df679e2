"""Loads a SavedModel into this process; one that is damaged says so with its path."""

from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)


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
