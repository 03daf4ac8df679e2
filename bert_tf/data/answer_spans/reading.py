"""A table in, questions with their contexts and where the answers stand in these out.

question "수도는?", context "수도는 서울이다.", answers [{"text": "서울", "answer_start": 4}]
    ->  "수도는?", "수도는 서울이다.", (Answer(4, 6),)
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bert_tf.data.answer_spans.answers import Answer
from bert_tf.data.answer_spans.cells import answers_of, flag_of
from bert_tf.data.answer_spans.rows import IMPOSSIBLE, KeptRows, Row, other_unit
from bert_tf.data.tables.cells import text_of
from bert_tf.data.tables.faults import Counted, ExampleError, Faults
from bert_tf.data.tables.table import Table

logger = logging.getLogger(__name__)

QUESTION_KEY = "finetuning.text_field"
CONTEXT_KEY = "finetuning.text_pair_field"
ANSWERS_KEY = "finetuning.task.answers_field"

FaultPolicy = Literal["error", "repair", "skip"]


@dataclass(frozen=True, eq=False)
class ReadQuestions:
    """Questions, their contexts, and where in these the answers stand."""

    table: Table
    """The rows that were kept, with all of their columns."""
    questions: Sequence[str]
    contexts: Sequence[str]
    """Of each question; questions of one context share it."""
    answers: Sequence[tuple[Answer, ...]]
    """Of each question, in the order of the data and each once; empty if the context has none."""
    repaired: Counted
    """Answers that were moved, and those that were taken out of a question that goes on."""
    skipped: Counted
    """Questions that were left out."""
    parting: Counted
    """Answers that begin or end inside of one character, as people see it."""

    def __len__(self) -> int:
        return len(self.questions)


def read_questions(
    table: Table,
    *,
    question_field: str = "question",
    context_field: str = "context",
    answers_field: str = "answers",
    faults: FaultPolicy = "error",
) -> ReadQuestions:
    """The examples of a table with a question, its context and its answers a row.

    Answers are given in any form of `cells.answers_of`; the same place is one answer, however many
    people gave it. Where there is a column `is_impossible`, it must agree with them.

    Args:
        faults: of questions at fault. `skip` leaves them out, counts and logs them. `repair` does
            so with those that cannot be repaired: an answer that does not stand at its start is
            looked for at that place in UTF-16 units or UTF-8 bytes, if all such answers are found
            so, else at the nearest place that has it; an answer without text, and the answers of a
            question that is said to have none, are taken out.

    Raises:
        ValueError: there is no such column; file and line or question of a row at fault: question
            or context without text, answers of another form, an answer that does not stand where
            it is said to, or answers and `is_impossible` that contradict one another; or no row is
            good.
    """
    columns = _columns(table, question_field, context_field, answers_field)
    found = Faults(table, policy=faults, what="questions")
    readable: set[str] = set()
    rows = [_parsed(values, columns, readable) for values in zip(*columns.values, strict=True)]
    kept = KeptRows(found, unit=other_unit(rows))
    for number, row in enumerate(rows):
        try:
            if isinstance(row, ExampleError):
                raise row
            kept.add(number, row)
        except ExampleError as fault:
            found.add(number, fault)
    found.check_some_left(len(kept.numbers))
    is_whole = len(kept.numbers) == len(table)
    result = ReadQuestions(
        table if is_whole else table.take(kept.numbers),
        kept.questions,
        kept.contexts,
        kept.answers,
        kept.repaired.counted,
        found.counted,
        kept.parting.counted,
    )
    return _told(result)


class _Columns(NamedTuple):
    question: str
    context: str
    answers: str
    values: tuple[Sequence[Any], ...]
    """Questions, contexts, answers, and whether there are none."""


def _columns(table: Table, question: str, context: str, answers: str) -> _Columns:
    try:
        values = [
            table.column(name, key=key)
            for name, key in (
                (question, QUESTION_KEY),
                (context, CONTEXT_KEY),
                (answers, ANSWERS_KEY),
            )
        ]
    except ValueError as error:
        raise ValueError(
            f"{error} Questions are read from the columns {QUESTION_KEY} ({question!r}), their "
            f"contexts from {CONTEXT_KEY} ({context!r}), answers from {ANSWERS_KEY} ({answers!r})."
        ) from error
    is_impossible = table.columns.get(IMPOSSIBLE, [None] * len(table))
    return _Columns(question, context, answers, (*values, is_impossible))


def _parsed(values: tuple[Any, ...], columns: _Columns, readable: set[str]) -> Row | ExampleError:
    """A row, or what is wrong with it; `readable` are contexts that were looked at before."""
    question, context, answers, is_impossible = values
    try:
        if not isinstance(context, str) or context not in readable:
            readable.add(text_of(context, field=columns.context))
        return Row(
            text_of(question, field=columns.question),
            context,
            answers_of(answers, field=columns.answers),
            flag_of(is_impossible, field=IMPOSSIBLE),
        )
    except ExampleError as fault:
        return fault


def _told(result: ReadQuestions) -> ReadQuestions:
    nums = [len(answers) for answers in result.answers]
    logger.info(
        "Questions: %s on %s contexts; %s have no answer, %s several.",
        *(f"{len(result):,}", f"{len(set(result.contexts)):,}"),
        *(f"{nums.count(0):,}", f"{sum(num > 1 for num in nums):,}"),
    )
    if result.repaired:
        logger.warning(
            "Answers are repaired: %s. %s",
            *(f"{result.repaired.num:,}", result.repaired.describe()),
        )
    if result.parting:
        logger.warning(
            "Answers begin or end inside of one character, as people see it: %s. %s",
            *(f"{result.parting.num:,}", result.parting.describe()),
        )
    if result.skipped:
        logger.warning(
            "Questions at fault that are left out: %s of %s. %s",
            *(f"{result.skipped.num:,}", f"{result.skipped.num + len(result):,}"),
            result.skipped.describe(),
        )
    return result
