"""A cell of answers in, in any form that data sets have, and its answers out.

    [{"text": "서울", "answer_start": 4}]           SQuAD, KorQuAD
    {"text": ["서울"], "answer_start": [4]}         Hugging Face's datasets
    '[{"text": "서울", "answer_start": 4}]'         either as JSON, in a .csv
    None, "", [], {"text": [], "answer_start": []}  the context has no answer

All functions raise `ExampleError` with what is wrong with the cell.
"""

import math
from typing import Any

from bert_tf.data.answer_spans.answers import Written
from bert_tf.data.tables.faults import ExampleError
from bert_tf.data.tables.values import FLAGS, MISSING
from bert_tf.system.json_files import JsonError, decode_json
from bert_tf.system.listing import listed

TEXT, START = "text", "answer_start"


def answers_of(value: Any, *, field: str) -> list[Written]:
    """The answers of a cell, in its order; none where it is empty."""
    items = _plain(value)
    if isinstance(items, str):
        items = _parsed(items, field=field)
    if items is None or (isinstance(items, float) and math.isnan(items)):
        return []
    if isinstance(items, dict):
        items = _rows(items, field=field)
    if not isinstance(items, list | tuple):
        raise _fault(value, field=field)
    return [_answer(item, field=field, number=number) for number, item in enumerate(items, start=1)]


def flag_of(value: Any, *, field: str) -> bool | None:
    """Whether a question is said to have no answer; None where nothing is said."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = str(int(value) if value in (0, 1) else value).strip().lower()
    if not text:
        return None
    if text not in FLAGS:
        raise ExampleError(
            f"{field!r} must be true or false. Received: {value!r:.80}. Write one of them."
        )
    return FLAGS[text]


def _parsed(text: str, *, field: str) -> Any:
    if text.strip() in MISSING:
        return None
    try:
        items = decode_json(text)
    except JsonError:
        advice = " Write JSON as json.dumps does" if "'" in text else ""
        raise _fault(text, field=field, advice=advice) from None
    return items


def _rows(columns: dict[str, Any], *, field: str) -> list[dict[str, Any]]:
    """An object of lists as a list of objects; an object of one answer as a list of it."""
    texts, starts = (_plain(columns.get(name)) for name in (TEXT, START))
    if isinstance(texts, str):
        return [{TEXT: texts, START: starts}]
    if not isinstance(texts, list | tuple) or not isinstance(starts, list | tuple):
        raise _fault(columns, field=field)
    if len(texts) != len(starts):
        raise ExampleError(
            f"the lists {TEXT!r} and {START!r} in {field!r} must be of the same length. Received: "
            f"{len(texts):,} and {len(starts):,}. Repair the row."
        )
    return [{TEXT: text, START: start} for text, start in zip(texts, starts, strict=True)]


def _answer(item: Any, *, field: str, number: int) -> Written:
    if not isinstance(item, dict) or TEXT not in item or START not in item:
        shown = f"one with {listed(map(repr, item))}" if isinstance(item, dict) else repr(item)
        raise ExampleError(
            f"every answer in {field!r} must be an object with {TEXT!r} and {START!r}. Received: "
            f"{shown:.80}, number {number}. Write it so."
        )
    if not isinstance(item[TEXT], str):
        raise ExampleError(
            f"the text of an answer in {field!r} must be text. Received: {item[TEXT]!r:.80}, "
            f"number {number}. Write it in quotes."
        )
    return Written(item[TEXT], _plain(item[START]))


def _plain(value: Any) -> Any:
    """Without NumPy's types, which tables of pandas have inside of objects."""
    return value.tolist() if hasattr(value, "tolist") else value


def _fault(value: Any, *, field: str, advice: str = "") -> ExampleError:
    return ExampleError(
        f"answers in {field!r} must be a list of objects with {TEXT!r} and {START!r}, or an object "
        f"with a list of each ([] for none). Received: {value!r:.80}.{advice or ' Write them so'}."
    )
