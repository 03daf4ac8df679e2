"""The table of tasks, a row each. A task's name in, the task out.

A task from outside of the package is as good as one of these: an installed package adds one with
an entry point in the group `bert_tf.tasks`, and `MODULE:CLASS` names one of any module.
"""

import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bert_tf.config import FinetuningConfig
from bert_tf.models.description import ModelDescription
from bert_tf.system.lookalikes import alike_hint
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import TEXT, TEXT_PAIR

TASKS = {
    "classification": "bert_tf.tasks.classification:Classification",
    "embedding": "bert_tf.tasks.embedding:Embedding",
    "multi_label": "bert_tf.tasks.multi_label:MultiLabel",
    "multiple_choice": "bert_tf.tasks.multiple_choice:MultipleChoice",
    "question_answering": "bert_tf.tasks.question_answering:QuestionAnswering",
    "reranker": "bert_tf.tasks.reranker:Reranker",
    "regression": "bert_tf.tasks.regression:Regression",
    "sequence_to_sequence": "bert_tf.tasks.sequence_to_sequence:SequenceToSequence",
    "token_labels": "bert_tf.tasks.token_labels:TokenLabels",
}
"""Name -> where the task is."""
ENTRY_POINTS = "bert_tf.tasks"


def open_task(section: FinetuningConfig) -> Task:
    """The task of a configuration, its settings checked.

    Raises:
        ValueError: there is no such task, or a setting of it is wrong.
    """
    name = section.task.name
    return find_task(name).with_options(section.task.options, name=name)


def task_of(description: ModelDescription, section: FinetuningConfig | None = None) -> Task | None:
    """The task that a model was fine-tuned for; None of one that is no task's.

    It has the settings that it was trained with; those that `section` gives for it win. A model
    without a head is of the task that `section` names, where that needs none.
    """
    name = description.kind
    if name not in task_names() and ":" not in name:
        is_asked = section is not None and find_task(section.task.name).head_layout == name
        return open_task(section) if section is not None and is_asked else None
    settings = dict(description.task_state.get("settings", {}))
    if section is not None and section.task.name == name:
        settings |= section.task.options
    return find_task(name).with_options(settings, name=name)


def in_order(names: Iterable[str], description: ModelDescription | None) -> tuple[str, ...]:
    """Inputs of a signature, the first text first: a SavedModel on disk does not say."""
    task = None if description is None else task_of(description)
    known = () if task is None or description is None else task.input_names(description)
    order = [*dict.fromkeys((*known, TEXT, TEXT_PAIR))]
    return tuple(sorted(names, key=lambda it: (order.index(it) if it in order else len(order), it)))


def task_names() -> list[str]:
    """Of this package and of installed ones."""
    return sorted({*TASKS, *(entry.name for entry in _added())})


def find_task(name: str) -> type[Task]:
    """The class of a task.

    Raises:
        ValueError: there is none of that name, or what is there is no task.
    """
    address = TASKS.get(name) or next((e.value for e in _added() if e.name == name), name)
    module, colon, attribute = address.partition(":")
    if not colon:
        names = task_names()
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"finetuning.task must be one of {', '.join(names)}, or MODULE:CLASS. Received: "
            f"{name!r}.{hint}{alike_hint(name, names)}"
        )
    found = getattr(_import(module, name), attribute, None)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ValueError(
            f"finetuning.task={name}: must name a class made from bert_tf.tasks.base.Task. "
            f"Received: {found!r}."
        )
    return found


def _import(module: str, name: str) -> Any:
    """A module, also of the working folder, as `python -m` finds it."""
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ValueError(
            f"finetuning.task={name}: the module must be on Python's path or in the working "
            f"folder. Received: no module {module!r} there."
        ) from error


def _added() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINTS))
