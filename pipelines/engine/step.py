"""Flows and their steps: plain functions with declared inputs and outputs.

A step's function gets a `Context`: the configuration, the folder to write to, the folders of the
steps before it. What it is given is all that it may read: the fingerprint of a step covers just
that, and a step is done again when its fingerprint changes.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_tf.config import Config
from bert_tf.system.lookalikes import alike_hint


@dataclass(frozen=True)
class Stop:
    """A step's word that the rest of the flow is not to be done, and why."""

    status: str
    """`refused` or `rolled_back`."""
    reason: str


@dataclass(frozen=True)
class Context:
    """What a step works with."""

    config: Config
    directory: Path
    """Its own folder. After an interruption it is as it was left."""
    folders: Mapping[str, Path]
    """Of the steps that it comes after and that were not skipped."""
    tracking_uri: str
    fingerprint: str = ""
    show: Callable[..., None] = lambda *_: None
    """Takes (stage, done, total, detail)."""
    is_stop_requested: Callable[[], bool] = lambda: False

    def find(self, names: str) -> Path | None:
        """The folder of the first of `a|b|c` that was not skipped."""
        return next((self.folders[n] for n in names.split("|") if n in self.folders), None)

    def folder(self, names: str) -> Path:
        """As `find`.

        Raises:
            LookupError: there is none.
        """
        found = self.find(names)
        if found is None:
            raise LookupError(f"{names}: a step must be there. Received: {list(self.folders)}.")
        return found

    def with_config(self, **sections: Any) -> "Context":
        """The same with other sections of the configuration."""
        return dataclasses.replace(self, config=self.config.model_copy(update=sections))

    def with_settings(self, **sections: Mapping[str, Any]) -> Config:
        """The configuration with some values of its sections replaced."""
        return self.config.model_copy(
            update={
                name: getattr(self.config, name).model_copy(update=values)
                for name, values in sections.items()
            }
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a flow."""

    name: str
    work: Callable[[Context], Stop | None]
    """A function of a module: it runs in a process of its own."""
    after: tuple[str, ...] = ()
    """The steps that it reads; `a|b` is the first of them that was not skipped."""
    sees: tuple[str, ...] = ()
    """As `after`, of steps whose folders it gets although what it makes does not depend on them."""
    settings: tuple[str, ...] = ()
    """Dotted keys of the configuration that it reads: sections or single values."""
    files: Callable[[Config], Iterable[Path]] = lambda config: ()
    """What it reads that no step made; content counts."""
    world: Callable[[Context], Any] = lambda context: None
    """JSON of what else it reads, such as which version an alias stands for."""
    result: tuple[str, ...] = ()
    """Names of the files in `result_folder` that later steps read; they are done again where one of
    these has changed. `a|b` is the first of them that is there. Default: where this step was done
    again."""
    result_folder: str = ""
    skip: Callable[[Context], str | None] = lambda context: None
    """Why it is not needed, if it is not."""
    is_reused: bool = True
    """False: it looks for itself whether there is anything to do."""
    only_looks: bool = False
    """It finds out what there is to do: where no other step did anything, nothing was new."""
    disk_bytes: Callable[[Context], int] = lambda context: 0
    """About what it writes."""


def names_in(references: Iterable[str]) -> set[str]:
    """All steps that `a|b` and the like may stand for."""
    return {name for reference in references for name in reference.split("|")}


def find_result(folder: Path, names: str) -> Path:
    """The file that `a|b` stands for; of none that is there the first."""
    paths = [folder / name for name in names.split("|")]
    return next((path for path in paths if path.is_file()), paths[0])


@dataclass(frozen=True)
class Flow:
    """Steps in the order in which they are done."""

    name: str
    purpose: str
    steps: tuple[Step, ...] = field(repr=False)
    imports: tuple[str, ...] = ()
    """Modules that take long to import and that most steps need: the next step's process imports
    them while a step is at work."""

    def step(self, name: str) -> Step:
        """Raises ValueError where the flow has no such step."""
        for step in self.steps:
            if step.name == name:
                return step
        names = [step.name for step in self.steps]
        raise ValueError(
            f"A step of {self.name} must be one of {', '.join(names)}. Received: {name!r}. Name "
            f"one of these.{alike_hint(name, names)}"
        )
