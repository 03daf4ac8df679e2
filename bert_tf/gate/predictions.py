"""Asks a SavedModel labelled examples: its answers as outcomes, its latency and size."""

import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.data.inspection.text_profile import TextProfile
from bert_tf.data.text.windows import NUM_SPECIAL_TOKENS
from bert_tf.exporting.loading import load_saved_model
from bert_tf.exporting.predict import text_batches
from bert_tf.exporting.signatures import DEFAULT
from bert_tf.exporting.version_folders import newest_version
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.system.files import folder_bytes
from bert_tf.tasks.answers import gathered
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples

_BATCH_SIZE = 32
_NUM_TIMED = 50
_NUM_UNTIMED = 5


@dataclass(frozen=True, eq=False)
class Predictions:
    """One model on one set of examples."""

    outcomes: Outcomes
    lengths: np.ndarray
    """(examples,) int, tokens of the first text without [CLS] and [SEP], as the model has them."""
    profile: TextProfile
    latency_ms: float
    """Median of single examples, in this process."""
    size_bytes: int
    """Of the SavedModel's folder."""


def predict(saved_model_dir: str | Path, examples: Examples, task: Task) -> Predictions:
    """Predictions of a model of `task` that `bert-tf export` wrote.

    Raises:
        FileNotFoundError: no SavedModel.
        ValueError: it is of another task, takes pairs where there are none, or reverse, or does not
            know a label.
    """
    directory = newest_version(saved_model_dir)
    model = load_saved_model(directory)
    asked = task.asked(examples)
    function = _default_signature(directory, model, asked, task)
    batches = text_batches(asked, batch_size=_BATCH_SIZE)
    answers = gathered(task, (function(**batch) for batch in batches))
    try:
        outcomes = task.outcomes(examples, answers)
    except ValueError as error:
        raise ValueError(f"{directory}: {error}") from error
    lengths, num_unknown = _token_counts(model, next(iter(examples.inputs.values())))
    return Predictions(
        outcomes=outcomes,
        lengths=lengths,
        profile=TextProfile.of(
            lengths=lengths, num_unknown=num_unknown, label_counts=task.target_counts(examples)
        ),
        latency_ms=_latency_ms(function, asked),
        size_bytes=folder_bytes(directory),
    )


def _default_signature(
    directory: Path, model: Any, asked: Mapping[str, Sequence[str]], task: Task
) -> Any:
    function = model.signatures[DEFAULT]
    wanted = set(asked)
    taken = set(function.structured_input_signature[1])
    if taken != wanted or not task.is_answer(function.structured_outputs):
        raise ValueError(
            f"{directory}: a model of the task {task.name} that takes {sorted(wanted)} is needed. "
            f"Received: a model that takes {sorted(taken)} and gives "
            f"{sorted(function.structured_outputs)}. Set finetuning.task and "
            "finetuning.text_pair_field, or the columns of the task, as they were for it."
        )
    return function


def _token_counts(model: Any, texts: Sequence[str]) -> tuple[np.ndarray, int]:
    """Tokens of each text, and [UNK] among all of them."""
    tokenize = model.signatures["tokenize"]
    lengths, num_unknown = [], 0
    for batch in text_batches({"text": texts}, batch_size=_BATCH_SIZE):
        tokens = tokenize(**batch)
        lengths.append(tokens["input_mask"].numpy().sum(axis=1) - NUM_SPECIAL_TOKENS)
        num_unknown += int((tokens["tokens"].numpy() == b"[UNK]").sum())
    return np.concatenate(lengths), num_unknown


def _latency_ms(function: Any, inputs: Mapping[str, Sequence[str]]) -> float:
    def answer(single: dict[str, tf.Tensor]) -> None:
        next(iter(function(**single).values())).numpy()

    singles = list(itertools.islice(text_batches(inputs, batch_size=1), _NUM_TIMED))
    for single in singles[:_NUM_UNTIMED]:
        answer(single)
    seconds = []
    for single in singles:
        started = time.perf_counter()
        answer(single)
        seconds.append(time.perf_counter() - started)
    return 1e3 * statistics.median(seconds)
