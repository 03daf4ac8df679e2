"""A description in, its model out, of any kind; the model of a task is made by the task."""

from pathlib import Path

import keras

from bert_tf.models import folder
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.tasks.table import task_of


def build_model(
    description: ModelDescription, *, dtype: str = "float32", rematerialize: bool = False
) -> keras.Model:
    """A model with random weights, all of them created.

    Args:
        dtype: a Keras dtype policy, such as `mixed_bfloat16`.
        rematerialize: see `BertEncoder`.
    """
    task = task_of(description)
    make = folder.build_model if task is None else task.make_model
    return make(description, dtype=dtype, rematerialize=rematerialize)


def load_model(directory: str | Path, *, dtype: str = "float32") -> keras.Model:
    """The model saved in `directory`, every weight of it loaded.

    Raises:
        FileNotFoundError, ValueError: there is none, or its tensors do not fit; all are listed.
    """
    model = build_model(load_description(directory), dtype=dtype)
    folder.load_weights(model, directory)
    return model
