"""The interface of an engine: the function that makes the shards of a preparation, called once.

An engine runs the first pass, which spools the corpus, when it wants to and may work meanwhile: the
local engine starts workers that follow the spool files while they grow.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bert_tf.data import records
from bert_tf.data.preparation import shards


@dataclass(frozen=True, kw_only=True)
class FirstPass:
    """The pass over the corpus that comes before the shards, for an engine to run."""

    run: Callable[[], Sequence[shards.ShardTask]]
    """Spools the corpus if that is still to be done; gives the shards that are to be made."""
    sure_tasks: Sequence[shards.ShardTask] = ()
    """Those of them that are known before: they can be followed while it runs."""
    text_bytes: int = 0
    """What is known of the size of the corpus; packed files count packed."""


class Engine(Protocol):
    """Makes shards, in any order and anywhere: each is a function of its task."""

    def __call__(
        self, first_pass: FirstPass, *, num_workers: int
    ) -> Generator[tuple[shards.ShardTask, records.Shard], None, None]:
        """Run the first pass, then give finished shards as they come.

        `num_workers` 0 means one a core. An error of the first pass is passed on as it is.
        """
        ...
