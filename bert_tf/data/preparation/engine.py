"""The interface of an engine: the function that makes the shards of a preparation, called once.

An engine runs the first pass, which spools the corpus, when it wants to and may work meanwhile: the
local engine starts workers that follow the spool files while they grow.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from bert_tf.data import records


class Task(Protocol):
    """All that one shard depends on: a frozen dataclass, small enough to be sent to a process."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def split(self) -> records.Split: ...

    @property
    def spool_path(self) -> Path: ...

    @property
    def shard_path(self) -> Path: ...

    @property
    def tokenizer_dir(self) -> Path: ...

    def write(self, *, is_growing: bool = False) -> records.Shard:
        """Make the shard; with `is_growing` while its spool file may still grow."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class FirstPass:
    """The pass over the corpus that comes before the shards, for an engine to run."""

    run: Callable[[], Sequence[Task]]
    """Spools the corpus if that is still to be done; gives the shards that are to be made."""
    sure_tasks: Sequence[Task] = ()
    """Those of them that are known before: they can be followed while it runs."""
    text_bytes: int = 0
    """What is known of the size of the corpus; packed files count packed."""


class Engine(Protocol):
    """Makes shards, in any order and anywhere: each is a function of its task."""

    def __call__(
        self, first_pass: FirstPass, *, num_workers: int
    ) -> Generator[tuple[Task, records.Shard], None, None]:
        """Run the first pass, then give finished shards as they come.

        `num_workers` 0 means one a core. An error of the first pass is passed on as it is.
        """
        ...
