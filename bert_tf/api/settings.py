"""Keyword arguments in, the checked configuration of a stage out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert_tf.config import Config, merged, validate_config
from bert_tf.tasks.base import Task
from bert_tf.tasks.table import TASKS


def with_settings(config: Config | None, **sections: Mapping[str, Any]) -> Config:
    """The configuration with some settings of its sections replaced, checked as a file's are.

    Raises:
        ValueError: a setting is unknown (the nearest is named) or a value is wrong.
    """
    for name, section in sections.items():
        _refuse_sections(name, section)
    tree = {} if config is None else config.model_dump(mode="json", exclude_unset=True)
    return validate_config(merged(tree, _plain(sections), whole={"task"}), origin="settings")


def task_settings(task: str | Mapping[str, Any] | Task | type[Task]) -> dict[str, Any]:
    """`finetuning.task`: of a name, of settings with a name, of a task or of a task's class.

    Raises:
        ValueError: a class that an import does not find again, as of a notebook's cell.
    """
    if isinstance(task, str):
        return {"name": task}
    if isinstance(task, Task):
        settings = task.settings.model_dump(mode="json", exclude_defaults=True)
        return {"name": _name_of(type(task)), **settings}
    if isinstance(task, type):
        return {"name": _name_of(task)}
    return dict(task)


def _name_of(task: type) -> str:
    """The name in the table of tasks, or MODULE:CLASS."""
    address = f"{task.__module__}:{task.__qualname__}"
    if task.__module__ == "__main__" or "." in task.__qualname__:
        raise ValueError(
            "task must be a class at the top of a module that can be imported: evaluation, export "
            f"and the server look for it by its name. Received: {address}. Write it into a file "
            "beside the notebook, such as my_task.py, and import it from there."
        )
    return next((name for name, place in TASKS.items() if place == address), address)


def _refuse_sections(name: str, section: Mapping[str, Any]) -> None:
    """Raise ValueError of an argument that is another section of the tree."""
    own = Config.model_fields[name].annotation
    for key in section:
        if key in Config.model_fields and key not in getattr(own, "model_fields", {}):
            raise ValueError(
                f"keyword arguments must be settings of {name}. Received: {key}, a section of its "
                f"own. Give it in the configuration: config=bert_tf.Config({key}=...)."
            )


def _plain(value: Any) -> Any:
    """Settings as a YAML file has them: a path is its name."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
