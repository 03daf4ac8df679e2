"""A table of sentences with two entities in, one with the entities marked in the text out.

Typed entity markers of punctuation (Zhou and Chen 2021): every tokenizer has them, a served model
is asked with the same text, and no token of a vocabulary is needed for them.

    비틀즈는 조지 해리슨이 썼다, subject 비틀즈 (ORG), object 조지 해리슨 (PER)
    ->  @ * ORG * 비틀즈 @ 는 # ^ PER ^ 조지 해리슨 # 이 썼다
"""

from collections.abc import Mapping
from typing import Any

from bert_tf.data.tables.table import Table

SENTENCE, SUBJECT, OBJECT, MARKED = "sentence", "subject_entity", "object_entity", "marked"
_MARKS = {SUBJECT: ("@ * {} * ", " @"), OBJECT: ("# ^ {} ^ ", " #")}


def mark_relations(table: Table) -> Table:
    """KLUE-RE's rows with the column `marked`.

    Raises:
        ValueError: the place of a row without entities, or of two that overlap.
    """
    columns = {name: table.column(name, key=name) for name in (SENTENCE, SUBJECT, OBJECT)}
    rows = zip(*columns.values(), strict=True)
    marked = [
        _marked(str(text), {SUBJECT: subject, OBJECT: object_}, place=table.where(row))
        for row, (text, subject, object_) in enumerate(rows)
    ]
    return Table({**table.columns, MARKED: marked}, table.origins)


def _marked(text: str, entities: Mapping[str, Any], *, place: str) -> str:
    spans = sorted((*_span(entities[name], text, name=name, place=place), name) for name in _MARKS)
    (_, end, _, _), (start, *_) = spans
    if start < end:
        raise ValueError(
            f"{place}: the two entities of a relation must not overlap. Received: "
            f"{[list(span[:2]) for span in spans]} in {text!r:.80}. Repair the row."
        )
    for start, end, kind, name in reversed(spans):
        before, after = _MARKS[name]
        entity = f" {before.format(kind)}{text[start:end]}{after} "
        text = f"{text[:start]}{entity}{text[end:]}"
    return " ".join(text.split())


def _span(entity: Any, text: str, *, name: str, place: str) -> tuple[int, int, str]:
    """Start and end, not included, in code points; KLUE's `end_idx` is that of the last one."""
    fields = ("start_idx", "end_idx", "type")
    if not isinstance(entity, dict) or not all(field in entity for field in fields):
        raise ValueError(
            f"{place}: {name} must be an object with {', '.join(fields)}. Received: "
            f"{entity!r:.80}. Repair the row."
        )
    start, end = int(entity["start_idx"]), int(entity["end_idx"]) + 1
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"{place}: {name} must lie in the sentence of {len(text)} characters. Received: "
            f"{start} to {end - 1}. Repair the row."
        )
    return start, end, str(entity["type"])
