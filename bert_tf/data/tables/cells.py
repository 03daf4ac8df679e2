"""A cell of a table in, the text or the list in it out.

Both raise `ExampleError` with what is wrong with the cell.
"""

from typing import Any

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.faults import ExampleError
from bert_tf.system.json_files import JsonError, decode_json


def text_of(value: Any, *, field: str) -> str:
    """A text with something to read in it."""
    if not isinstance(value, str):
        raise ExampleError(
            f"an example needs a text in {field!r}. Received: {value!r:.80}. Fill it in."
        )
    if not canonical_text(value):
        raise ExampleError(
            f"an example needs a text in {field!r}. Received: {value!r:.80}, nothing to read. Fill "
            "it in, or take the example out."
        )
    return value


def list_of(value: Any, *, field: str, what: str, none: str = "") -> list[Any]:
    """A list, also one that is JSON as text; `none` says how to write one of nothing."""
    items = value
    if isinstance(value, str):
        try:
            items = decode_json(value)
        except JsonError:
            items = None
    if not isinstance(items, list):
        raise ExampleError(
            f"{what} in {field!r} must be a list{none}. Received: {value!r:.80}. Write a list, or "
            "one as JSON."
        )
    return items
