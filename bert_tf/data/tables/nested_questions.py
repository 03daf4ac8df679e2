"""A .json file of questions in paragraphs in articles in, a row a question out.

    {"data": [{"title": "Seoul", "paragraphs": [{"context": "Seoul is …", "qas": [
        {"id": "q7", "question": "What is …?", "answers": [{"text": "Seoul", "answer_start": 0}]}
    ]}]}]}

    id  title  context    question    answers
    q7  Seoul  Seoul is … What is …?  [{"text": "Seoul", "answer_start": 0}]

SQuAD 1.1 and 2.0, KorQuAD 1.0 and KLUE-MRC, which says `guid` for `id`, are published so. A context
is one text, which the rows of its questions share.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.data.tables.origins import RecordNames, Source
from bert_tf.system.listing import listed

logger = logging.getLogger(__name__)

PARAGRAPHS, CONTEXT, QUESTIONS = "paragraphs", "context", "qas"
QUESTION, ANSWERS = "question", "answers"
ID_FIELDS = ("id", "guid")
"""Of a question; the first that is there is the column `id`."""
FIRST_COLUMNS = ("id", "title", CONTEXT, QUESTION, ANSWERS, "is_impossible")
NOT_INHERITED = (*ID_FIELDS, QUESTION, ANSWERS, "is_impossible")
"""What a question does not have from its paragraph or article."""

Row = dict[str, Any]


def are_nested_questions(rows: Sequence[Any]) -> bool:
    """Whether the objects of a file are articles: one has a paragraph with questions."""
    return any(
        isinstance(paragraph, dict) and QUESTIONS in paragraph
        for row in rows
        if isinstance(row, dict) and isinstance(row.get(PARAGRAPHS), list)
        for paragraph in row[PARAGRAPHS]
    )


def questions_of(
    articles: Sequence[Mapping[str, Any]], *, path: Path
) -> tuple[list[str], Source, Iterator[Row]]:
    """The names of the columns, the source of the rows, and the rows.

    Columns are `id`, `title`, `context`, `question`, `answers`, `is_impossible`, those of them that
    are there, and all other fields of a question, its paragraph and its article, the innermost
    where several have it. All of the articles are looked at before.

    Raises:
        ValueError: file and article, paragraph or question of a part that is missing or of another
            type; or some questions have no answers, not even an empty list.
    """
    names: dict[str, None] = {}
    ids: list[str | None] = []
    rows_without_answers: list[int] = []
    for row in _rows(articles, path=path):
        names.update(dict.fromkeys(row))
        ids.append(None if row.get("id") is None else str(row["id"]))
        if ANSWERS not in row:
            rows_without_answers.append(len(ids))
    record_names = RecordNames(QUESTION, ids)
    if ANSWERS in names and rows_without_answers:
        number = rows_without_answers[0]
        raise ValueError(
            f"{path}:{record_names.describe(number)}: every question must have {ANSWERS!r} if any "
            f"has. Received: {len(rows_without_answers):,} of {len(ids):,} without. Write [] where "
            "the context has no answer."
        )
    _tell_doubles(ids, path=path)
    ordered = [*filter(names.__contains__, FIRST_COLUMNS)]
    ordered += [name for name in names if name not in FIRST_COLUMNS]
    source = Source(str(path), has_lines=False, record_names=record_names)
    return ordered, source, _rows(articles, path=path)


def _rows(articles: Sequence[Mapping[str, Any]], *, path: Path) -> Iterator[Row]:
    for article_number, article in enumerate(articles, start=1):
        place = f"{path}:article {article_number}"
        paragraphs = _list(article, PARAGRAPHS, place=place, what="an article")
        outer = _inherited(article, without=PARAGRAPHS)
        for paragraph_number, paragraph in enumerate(paragraphs, start=1):
            inner = f"{place}, paragraph {paragraph_number}"
            _check_fields(paragraph, CONTEXT, QUESTIONS, place=inner, what="a paragraph")
            questions = _list(paragraph, QUESTIONS, place=inner, what="a paragraph")
            fields = outer | _inherited(paragraph, without=QUESTIONS)
            for number, question in enumerate(questions, start=1):
                yield fields | _own_fields(question, place=f"{inner}, question {number}")


def _own_fields(question: Any, *, place: str) -> Row:
    """Of a question, with what names it as its `id`."""
    _check_fields(question, QUESTION, place=place, what="a question")
    id_field = next((name for name in ID_FIELDS if question.get(name) is not None), None)
    if id_field is None:
        return dict(question)
    value = question[id_field]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(
            f"{place}: the {id_field!r} of a question must be text or a whole number. Received: "
            f"{value!r:.80}. Write it so."
        )
    return {"id": value} | {name: value for name, value in question.items() if name != id_field}


def _inherited(fields: Mapping[str, Any], *, without: str) -> Row:
    return {
        name: value
        for name, value in fields.items()
        if name != without and name not in NOT_INHERITED
    }


def _check_fields(part: Any, *names: str, place: str, what: str) -> None:
    """Raise ValueError unless `part` is an object with these fields."""
    is_object = isinstance(part, dict)
    if not is_object or not all(name in part for name in names):
        received = f"one with {listed(map(repr, part)) or 'nothing'}" if is_object else repr(part)
        raise ValueError(
            f"{place}: {what} must be an object with {listed(map(repr, names))}. Received: "
            f"{received:.200}. Write it as SQuAD has it."
        )


def _list(part: Any, name: str, *, place: str, what: str) -> list[Any]:
    _check_fields(part, name, place=place, what=what)
    value = part[name]
    if not isinstance(value, list):
        raise ValueError(
            f"{place}: {name!r} of {what} must be a list. Received: {type(value).__name__}, "
            f"{value!r:.80}. Write a list, [] for none."
        )
    return value


def _tell_doubles(ids: Sequence[str | None], *, path: Path) -> None:
    first: dict[str, int] = {}
    doubles = [
        (name, first[name], number)
        for number, name in enumerate(ids, start=1)
        if name is not None and first.setdefault(name, number) != number
    ]
    if doubles:
        shown = [f"{name} (questions {one} and {other})" for name, one, other in doubles]
        logger.warning(
            "%s: ids of questions must be their own for answers to be told apart. Of %s, %s have "
            "the id of one before: %s.",
            *(path, f"{len(ids):,}", f"{len(doubles):,}", listed(shown)),
        )
