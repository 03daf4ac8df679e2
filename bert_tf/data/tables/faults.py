"""Rows at fault in; an error with the first one's place, or a count of all out."""

from dataclasses import dataclass, field

from bert_tf.data.tables.table import Table
from bert_tf.system.listing import listed

FAULTS_SETTING = "finetuning.task.faults"
ID_FIELDS = ("id", "guid")
"""Columns of which the first that is there names an example."""
NUM_FIRST = 5


class ExampleError(ValueError):
    """What is wrong with an example, without its place."""


@dataclass(frozen=True)
class Counted:
    """How often something was found, and the first places with what was there."""

    num: int
    first: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.num > 0

    def describe(self) -> str:
        """The first places, and how many more there are."""
        more = self.num - len(self.first)
        shown = listed(self.first, max_characters=300, separator="\n  ")
        return f"\n  {shown}" + (f"\n  and {more:,} more" if more else "")


NOTHING = Counted(0)


@dataclass
class Faults:
    """What is done with rows at fault: `error` raises for the first, others count them."""

    table: Table
    policy: str
    what: str = "rows"
    """What each of them is, for messages."""
    setting: str = FAULTS_SETTING
    """The one whose value the policy is."""
    num: int = 0
    first: list[str] = field(default_factory=list)

    def where(self, row: int, *, side: int | None = None) -> str:
        """`path:line` of a row, with its id if there is one and the place does not have it."""
        place = self.table.where(row, side=side)
        if self.table.origins.is_named(row):
            return place
        for name in ID_FIELDS:
            if name in self.table.columns and self.table.columns[name][row] is not None:
                return f"{place} ({name} {self.table.columns[name][row]!s:.60})"
        return place

    def add(self, row: int, fault: ExampleError, *, side: int | None = None) -> None:
        """Count a row. Raises ValueError with its place under the policy `error`.

        `side`: which of two is at fault, see `Origins.describe`.
        """
        message = f"{self.where(row, side=side)}: {fault}"
        if self.policy == "error":
            raise ValueError(
                f"{message} {self.setting}=skip leaves out such {self.what}."
            ) from fault
        self.num += 1
        if len(self.first) < NUM_FIRST:
            self.first.append(message)

    @property
    def counted(self) -> Counted:
        """What was found so far."""
        return Counted(self.num, tuple(self.first))

    def check_some_left(self, num_rows: int) -> None:
        """Raise ValueError if all rows were left out."""
        if not num_rows:
            raise ValueError(
                f"{self.table.where(0)}: examples must have at least one row without a fault. "
                f"Received: {self.num:,} with one.{self.counted.describe()}\nRepair them."
            )
