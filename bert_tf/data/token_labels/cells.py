"""Cells of a table in; the entities, the tokens or the tags of an example out.

All raise `ExampleError` with what is wrong with the cell.
"""

from typing import Any

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.cells import list_of
from bert_tf.data.tables.faults import ExampleError
from bert_tf.data.tables.values import MISSING
from bert_tf.data.token_labels.spans import Span

LABEL_KEYS = ("label", "type")
"""Of an entity's label; the first that is there."""
BOUNDS = ("start", "end")


def words_of(value: Any, *, field: str, what: str) -> list[str]:
    """A list of tokens or tags, also one that is JSON as text; none is empty."""
    items = list_of(value, field=field, what=what)
    for place, item in enumerate(items, start=1):
        if not isinstance(item, str):
            names = ""
            if what == "tags" and isinstance(item, int):
                names = ", for a number the name that it stands for (ClassLabel.int2str)"
            raise ExampleError(
                f"{what} in {field!r} must be text. Received: {item!r:.80}, number {place}. "
                f"Write text{names}."
            )
        if not (item.strip() if what == "tags" else item):
            raise ExampleError(
                f"{what} in {field!r} must not be empty. Received: '', number {place}. Fill "
                "it in, or leave the example out."
            )
    return items


def entities_of(value: Any, *, field: str, text: str) -> list[Span]:
    """A list of `{start, end, label}` or `[start, end, label]`, also one that is JSON as text.

    The label may be called `type`. An object that has a `text`, too, must have that of its span.
    """
    items = list_of(value, field=field, what="entities", none=" ([] for none)")
    return [_span(item, place=place, text=text) for place, item in enumerate(items, start=1)]


def _span(item: Any, *, place: int, text: str) -> Span:
    start: Any = None
    end: Any = None
    label: Any = None
    if isinstance(item, dict):
        label = next((item[key] for key in LABEL_KEYS if key in item), None)
        start, end = (item.get(key) for key in BOUNDS)
    elif isinstance(item, list | tuple) and len(item) == 3:
        start, end, label = item
    are_whole = all(
        isinstance(bound, int) and not isinstance(bound, bool) for bound in (start, end)
    )
    if not are_whole or not isinstance(label, str):
        raise ExampleError(
            "an entity must be an object with start, end and label, or a list of these three; "
            f"start and end whole numbers, label text. Received: {item!r:.80}, number {place}. "
            " Write it so."
        )
    if canonical_text(label) in MISSING:
        raise ExampleError(
            f"an entity must have a label. Received: {item!r:.80}, number {place}. Name it, "
            "or take it out."
        )
    span = Span(start, end, canonical_text(label))
    told = item.get("text") if isinstance(item, dict) else None
    if isinstance(told, str) and 0 <= start < end <= len(text) and text[start:end] != told:
        raise ExampleError(
            f"an entity's text must be what stands at its offsets. Received: {told!r:.60}, but "
            f"{text[start:end]!r:.60} at {start} to {end}. Count code points, not bytes or UTF-16 "
            "units."
        )
    return span
