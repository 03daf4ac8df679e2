"""The section `finetuning.task`: the task's name and its own settings."""

from typing import Any, Self

import pydantic

from bert_tf.config.section import Section


class TaskConfig(Section):
    """`finetuning.task`: a name alone, or a section of `name` and the task's own settings.

    What settings a task has stands in its file in `bert_tf/tasks/`; the task checks them before
    anything is read (`tasks.table.open_task`). `name` is one of the table there, one that an
    installed package adds (entry point `bert_tf.tasks`), or MODULE:CLASS.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    name: str = "classification"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, values: Any) -> Any:
        return {"name": values} if isinstance(values, str) else values

    @property
    def options(self) -> dict[str, Any]:
        """The task's own settings, as they were given."""
        return dict(self.__pydantic_extra__ or {})

    def renamed(self, name: str) -> Self:
        """Another task, with the settings that were given for no task by name."""
        return type(self)(name=name, **({} if "name" in self.model_fields_set else self.options))

    def with_options(self, options: dict[str, Any]) -> Self:
        """The same task with all of its settings written out."""
        return type(self)(name=self.name, **options)
