"""Rows of questions as data has them in, those without a fault and their answers' places out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bert_tf.data.answer_spans.answers import (
    UNITS,
    Answer,
    Written,
    check_text,
    find_at_start,
    find_near_start,
    parts_characters,
)
from bert_tf.data.tables.faults import FAULTS_SETTING, NUM_FIRST, Counted, ExampleError, Faults

IMPOSSIBLE = "is_impossible"
"""The column that says of a question whether its context has no answer, if there is one."""


class Row(NamedTuple):
    """A row as data has it."""

    question: str
    context: str
    answers: list[Written]
    is_impossible: bool | None


class OtherUnit(NamedTuple):
    """What the starts count of all answers that do not stand there in code points."""

    name: str
    num_answers: int
    is_of_all: bool
    """Whether all other answers stand at their starts in it, too."""


def other_unit(rows: Sequence[Row | ExampleError]) -> OtherUnit | None:
    """The unit in which all answers stand at their starts that do not in code points, if any."""
    written = [
        (answer, row.context)
        for row in rows
        if isinstance(row, Row)
        for answer in row.answers
        if answer.text.strip()
    ]
    misfits = [pair for pair in written if find_at_start(*pair) is None]
    for unit in UNITS if misfits else ():
        if all(find_at_start(*pair, unit=unit) for pair in misfits):
            is_of_all = all(find_at_start(*pair, unit=unit) for pair in written)
            return OtherUnit(unit, len(misfits), is_of_all)
    return None


@dataclass
class Noted:
    """How often something was found, and the first of what was."""

    num: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: str, what: str) -> None:
        """Count one."""
        self.num += 1
        if len(self.first) < NUM_FIRST:
            self.first.append(f"{place}: {what}")

    @property
    def counted(self) -> Counted:
        """What was found so far."""
        return Counted(self.num, tuple(self.first))


@dataclass
class KeptRows:
    """What is read of the rows that are not at fault."""

    found: Faults
    unit: OtherUnit | None
    numbers: list[int] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    answers: list[tuple[Answer, ...]] = field(default_factory=list)
    repaired: Noted = field(default_factory=Noted)
    parting: Noted = field(default_factory=Noted)

    @property
    def is_repairing(self) -> bool:
        return self.found.policy == "repair"

    def add(self, number: int, row: Row) -> None:
        """Add a row. Raises ExampleError, and adds nothing, if it is at fault."""
        notes: list[str] = []
        written = self._with_text(row, notes)
        answers = dict.fromkeys(self._placed(answer, row.context, notes) for answer in written)
        if not answers and row.is_impossible is False:
            raise ExampleError(
                f"a question must have an answer if {IMPOSSIBLE!r} is false. Received: none. Write "
                "its answers, or true."
            )
        self.numbers.append(number)
        self.questions.append(row.question)
        self.contexts.append(row.context)
        self.answers.append(tuple(answers))
        for note in notes:
            self.repaired.add(self.found.where(number), note)
        for answer in answers:
            if parts_characters(answer, row.context):
                self.parting.add(self.found.where(number), _shown(answer, row.context))

    def _with_text(self, row: Row, notes: list[str]) -> list[Written]:
        """The answers of a row that are some."""
        if row.answers and row.is_impossible:
            if not self.is_repairing:
                raise ExampleError(
                    f"a question must have no answer if {IMPOSSIBLE!r} is true. Received: "
                    f"{row.answers[0].text!r:.60}. Write [], or false. {FAULTS_SETTING}=repair "
                    "takes such answers out."
                )
            notes.append(f"{row.answers[0].text!r:.60} is taken out, {IMPOSSIBLE} is true")
            return []
        if not self.is_repairing:
            for answer in row.answers:
                check_text(answer)
        written = [answer for answer in row.answers if answer.text.strip()]
        if len(written) < len(row.answers):
            notes.append("an answer without text is taken out")
        return written

    def _placed(self, answer: Written, context: str, notes: list[str]) -> Answer:
        unit = self.unit
        placed = find_at_start(answer, context)
        if placed and not (self.is_repairing and unit and unit.is_of_all):
            return placed
        moved = find_at_start(answer, context, unit=unit.name) if unit else None
        moved = moved or find_near_start(answer, context)
        if moved and placed == moved:
            return placed
        if not self.is_repairing or moved is None:
            raise _misplaced(answer, context, moved=moved, unit=unit)
        notes.append(f"{answer.text!r:.60} at {answer.start!r:.20} is read at {moved.start}")
        return moved


def _misplaced(
    answer: Written, context: str, *, moved: Answer | None, unit: OtherUnit | None
) -> ExampleError:
    place = answer.place
    here = nowhere = advice = counted = ""
    if place is not None and place < len(context):
        there = context[place : place + len(answer.text)]
        here = f", where the context has {there!r:.60}"
    if moved is not None:
        advice = f" {FAULTS_SETTING}=repair reads it at {moved.start}."
    elif answer.text.strip() not in context:
        nowhere = ", and nowhere else"
    if unit is not None:
        counted = (
            f" All {unit.num_answers:,} answers that do not stand at their start do so if it "
            f"counts {unit.name}."
        )
    return ExampleError(
        "an answer's text must stand at its start, a whole number from 0 to "
        f"{len(context) - 1:,} that counts code points. Received: {answer.text!r:.60} at "
        f"{answer.start!r:.20}{here}{nowhere}.{counted}{advice}"
    )


def _shown(answer: Answer, context: str) -> str:
    return f"{context[slice(*answer)]!r:.60} at {answer.start} to {answer.end}"
