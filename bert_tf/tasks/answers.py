"""A model's outputs on many examples in, the task's answers to them out, by its `decode`."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.data.batches.labelled import concatenated
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.base import Answers, Task

_EXAMPLES_A_CALL = 4096


def answers_of(
    task: Task, outputs: Any, description: ModelDescription, *, tokenizer: Tokenizer
) -> Answers:
    """Answers as arrays (examples, ...); of those that are the same for every example one row.

    `outputs`: what `Task.predict` gives, arrays (examples, ...).
    """
    num_examples = len(tf.nest.flatten(outputs)[0])
    chunks = (
        tf.nest.map_structure(
            lambda values, start=start: tf.constant(values[start : start + _EXAMPLES_A_CALL]),
            outputs,
        )
        for start in range(0, num_examples, _EXAMPLES_A_CALL)
    )
    decoded = (task.decode(chunk, description) for chunk in chunks)
    return gathered(task, (task.written(answers, tokenizer=tokenizer) for answers in decoded))


def gathered(task: Task, batches: Iterable[Mapping[str, tf.Tensor]]) -> Answers:
    """Answers to batches, (batch, ...), as `answers_of` gives them."""
    parts: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for name, value in batch.items():
            is_constant = name in task.constant_answers
            if is_constant and name in parts:
                continue
            parts.setdefault(name, []).append((value[:1] if is_constant else value).numpy())
    return {name: concatenated(values) for name, values in parts.items()}
