"""What a fine-tuning learns from: examples of a table, or those that `bert-tf prepare` wrote."""

import abc
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bert_tf.config import FinetuningConfig
from bert_tf.data import records
from bert_tf.data.inspection.text_profile import TextProfile
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.inspection.log import log_counts
from bert_tf.tasks.profile import profile_encoded
from bert_tf.tracking.provenance import DataInput, records_input, table_inputs

log = logging.getLogger(__name__)

ROLE, KEY = "train", "finetuning.train_path"


class TrainingData(abc.ABC):
    """Examples of a task, which an epoch goes through once."""

    has_text_pairs: bool
    inputs: list[DataInput]
    """For the provenance."""
    sha256: str
    """Of all that is learnt from: a resumed run must have the same."""

    @abc.abstractmethod
    def learn(self) -> dict[str, Any]:
        """See `Task.learn`."""

    @abc.abstractmethod
    def encode(self, description: ModelDescription, *, tokenizer: Tokenizer) -> Any:
        """As `Task.batches` takes them."""

    @abc.abstractmethod
    def profile(self, encoded: Any) -> TextProfile:
        """What later texts are compared with for drift."""

    @abc.abstractmethod
    def log(self, held_out: Examples) -> None:
        """What there is to learn from, beside the held-out examples."""


def open_training_data(task: Task, source: Any, section: FinetuningConfig) -> TrainingData:
    """A folder with the manifest of `bert-tf prepare` is one of records, all else is a table's.

    Raises:
        ValueError: the place of what is wrong, or the task does not learn from records.
    """
    names = list(source) if isinstance(source, list | tuple) else [source]
    prepared = [name for name in names if is_prepared(name)]
    if not prepared:
        return _Table(task, source, section)
    if len(names) > 1:
        raise ValueError(
            f"{prepared[0]}: {KEY} must name records of `bert-tf prepare` alone. Received: "
            f"{len(names)} names. Prepare all texts together."
        )
    return _Prepared(task, Path(prepared[0]))


def is_prepared(source: Any) -> bool:
    """Whether it is the path of a folder with such a manifest."""
    return isinstance(source, str | Path) and (Path(source) / records.MANIFEST_FILE).is_file()


def read_examples(
    read: Callable[[Table, FinetuningConfig], Examples],
    source: Any,
    section: FinetuningConfig,
    *,
    key: str,
) -> Examples:
    """The examples of a table, by `Task.read` or `Task.read_held_out`.

    Raises:
        ValueError: the place of what is wrong, or they are records.
    """
    check_is_table(source, key=key)
    return read(read_table(source, config=section.table, key=key), section)


def check_is_table(source: Any, *, key: str) -> None:
    """Raise ValueError of prepared records: what is measured on are texts."""
    names = source if isinstance(source, list | tuple) else [source]
    if any(map(is_prepared, names)):
        raise ValueError(
            f"{source}: {key} must be a table: predictions are compared with texts, and records "
            "have token ids. Received: records of `bert-tf prepare`. Name the texts."
        )


class _Table(TrainingData):
    def __init__(self, task: Task, source: Any, section: FinetuningConfig) -> None:
        self._task = task
        self._examples = read_examples(task.read, source, section, key=KEY)
        self.has_text_pairs = len(self._examples.inputs) > 1
        self.inputs = table_inputs(ROLE, source, self._examples.table)
        texts = [list(texts) for texts in self._examples.inputs.values()]
        columns = [*texts, *[None] * (2 - len(texts))]  # a missing second text counts as one
        content = json.dumps([*columns, list(self._examples.targets)], ensure_ascii=False)
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()

    def learn(self) -> dict[str, Any]:
        return self._task.learn(self._examples)

    def encode(self, description: ModelDescription, *, tokenizer: Tokenizer) -> Any:
        return self._task.encode(self._examples, description, tokenizer=tokenizer)

    def profile(self, encoded: Any) -> TextProfile:
        return profile_encoded(encoded, self._examples, self._task)

    def log(self, held_out: Examples) -> None:
        log_counts(self._task, self._examples, held_out)


class _Prepared(TrainingData):
    has_text_pairs = False

    def __init__(self, task: Task, directory: Path) -> None:
        self._task, self._directory = task, directory
        self._learnt = task.learn_prepared(directory)
        self.inputs = [records_input(ROLE, directory)]
        self.sha256 = self.inputs[0].sha256

    def learn(self) -> dict[str, Any]:
        return self._learnt

    def encode(self, description: ModelDescription, *, tokenizer: Tokenizer) -> Any:
        return self._task.encode_prepared(self._directory, description, tokenizer=tokenizer)

    def profile(self, encoded: Any) -> TextProfile:
        """Of lengths and unknown words: records have no words of targets to be counted."""
        return profile_encoded(encoded, None, self._task)

    def log(self, held_out: Examples) -> None:
        log.info(
            "train: %s pairs of %s, whose texts are not compared with the %s held-out ones.",
            *(f"{self.inputs[0].num_examples:,}", self._directory, f"{len(held_out):,}"),
        )
