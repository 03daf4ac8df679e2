"""A table in, texts with their labelled spans out.

tokens [서울, 에], tags [B-LOC, O]          ->  "서울 에", (Span(0, 2, "LOC"),)
text "서울에", entities [[0, 2, "LOC"]]     ->  "서울에", (Span(0, 2, "LOC"),)
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bert_tf.data.tables.cells import text_of
from bert_tf.data.tables.faults import Counted, ExampleError, Faults
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import unify_labels
from bert_tf.data.token_labels.cells import entities_of
from bert_tf.data.token_labels.rows import Rows, Words
from bert_tf.data.token_labels.schemes import Scheme, TagForm
from bert_tf.data.token_labels.spans import Span, check_spans
from bert_tf.data.token_labels.tagged import (
    BROKEN_TAGS_SETTING,
    TAGS_KEY,
    TEXT_KEY,
    TOKENS_KEY,
    read_tagged,
)
from bert_tf.system.listing import listed

logger = logging.getLogger(__name__)

ENTITIES_KEY = "finetuning.task.entities_field"


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Texts, and which spans of them have which label."""

    table: Table
    """The rows that were kept, with all of their columns."""
    texts: Sequence[str]
    spans: Sequence[tuple[Span, ...]]
    """Of each text, in its order; they do not overlap."""
    words: Sequence[Words | None]
    """Of each text, start and end of what was tagged; None where spans were given."""
    form: TagForm | None
    """How the tags were written; None where spans were given."""
    repaired: Counted
    """Runs of words whose tags are not as their scheme has them."""
    skipped: Counted
    """Rows that were left out."""

    @property
    def scheme(self) -> Scheme | None:
        """Of the tags; None where spans were given."""
        return None if self.form is None else self.form.scheme

    @property
    def has_label_per_word(self) -> bool:
        """Whether each word has a label of its own, as parts of speech are."""
        return self.scheme == "plain"

    def __len__(self) -> int:
        return len(self.texts)


def read_labelled_texts(
    table: Table,
    *,
    text_field: str | None = "text",
    entities_field: str | None = "entities",
    tokens_field: str | None = "tokens",
    tags_field: str | None = "tags",
    faults: Literal["error", "skip"] = "error",
    scheme: Scheme | Literal["auto"] = "auto",
    broken_tags: Literal["repair", "refuse"] = "repair",
    joined: Literal["auto", "space", "nothing"] = "auto",
) -> LabelledTexts:
    """The examples of a table with columns of tokens and tags, or of texts and entities.

    Tokens are looked up in the text, if there is one, with white space between them or none; else
    they make it, see `joint_of`. Labels are spelled as `unify_labels` has it.

    Args:
        text_field: and the other three: columns; None is one that is not to be read.
        faults: `skip` leaves rows at fault out, counts and logs them.
        scheme: of the tags. `auto`: see `detect_form`.
        broken_tags: of runs of words that are not as their scheme has them. `repair` reads them by
            the rule of `runs_of`, counts and logs them; `refuse` makes their row one at fault.
        joined: what stands between tokens, as `TableConfig` has it.

    Raises:
        ValueError: the columns of neither form are there, or of both; file, line and id of a row
            at fault; tags contradict every scheme; labels are the same number; or no row is good.
    """
    found = Faults(table, policy=faults)
    fields = _Fields(text_field, entities_field, tokens_field, tags_field)
    if _has_tags(table, fields):
        rows = read_tagged(
            found,
            text_field=text_field if _is_there(table, text_field) else None,
            tokens_field=str(tokens_field),
            tags_field=str(tags_field),
            scheme=scheme,
            broken_tags=broken_tags,
            joined=joined,
        )
    else:
        rows = _read_spans(found, fields)
    found.check_some_left(len(rows.numbers))
    kept = table if len(rows.numbers) == len(table) else table.take(rows.numbers)
    result = LabelledTexts(
        kept, rows.texts, rows.spans, rows.words, rows.form, rows.repaired, found.counted
    )
    return _told(result)


class _Fields(NamedTuple):
    """Columns; None is one that is not to be read."""

    text: str | None
    entities: str | None
    tokens: str | None
    tags: str | None


def _has_tags(table: Table, fields: _Fields) -> bool:
    """Whether examples are tokens with tags. Raises ValueError if it is neither form, or both."""
    has_tags = _is_there(table, fields.tokens) and _is_there(table, fields.tags)
    has_spans = _is_there(table, fields.text) and _is_there(table, fields.entities)
    if has_tags != has_spans:
        return has_tags
    received = "those of both" if has_tags else "columns"
    advice = (
        f"Set {TAGS_KEY} or {ENTITIES_KEY} to null for the form that is not to be read."
        if has_tags
        else f"Name the columns with {TOKENS_KEY} and {TAGS_KEY}, or with {TEXT_KEY} and "
        f"{ENTITIES_KEY}."
    )
    raise ValueError(
        f"{table.where(0)}: examples need the columns of one of two forms: lists of tokens "
        f"({fields.tokens!r}) and of their tags ({fields.tags!r}), or texts ({fields.text!r}) and "
        f"lists of entities ({fields.entities!r}). Received: {received} "
        f"{listed(map(repr, table.names), max_items=20)}. {advice}"
    )


def _is_there(table: Table, field: str | None) -> bool:
    """Whether there is such a column, or one of objects that may have such a field."""
    if field is None:
        return False
    parts = field.split(".")
    return any(".".join(parts[:length]) in table.names for length in range(1, len(parts) + 1))


def _read_spans(found: Faults, fields: _Fields) -> Rows:
    texts = found.table.column(str(fields.text), key=TEXT_KEY)
    entities = found.table.column(str(fields.entities), key=ENTITIES_KEY)
    rows = Rows(None)
    for number, (value, items) in enumerate(zip(texts, entities, strict=True)):
        try:
            text = text_of(value, field=str(fields.text))
            spans = entities_of(items, field=str(fields.entities), text=text)
            rows.append(number, text, check_spans(spans, text=text), None)
        except ExampleError as fault:
            found.add(number, fault)
    row_of = [row for row, spans in zip(rows.numbers, rows.spans, strict=True) for _ in spans]
    labels = iter(
        unify_labels(
            [span.label for spans in rows.spans for span in spans],
            where=lambda place: found.where(row_of[place]),
            key=ENTITIES_KEY,
        )
    )
    rows.spans[:] = [
        tuple(span._replace(label=next(labels)) for span in spans) for spans in rows.spans
    ]
    return rows


def _told(result: LabelledTexts) -> LabelledTexts:
    num_spans = sum(map(len, result.spans))
    num_labels = len({span.label for spans in result.spans for span in spans})
    written = f", tags read as {result.form.describe()}" if result.form else ""
    logger.info(
        "Labelled texts: %s with %s spans of %s labels%s.",
        *(f"{len(result):,}", f"{num_spans:,}", f"{num_labels:,}", written),
    )
    if result.repaired:
        logger.warning(
            "Tags that are not as %s has them were read by the rule that I behind O or behind "
            "another label begins an entity (%s=refuse refuses them): %s, in %s",
            *(result.scheme, BROKEN_TAGS_SETTING, f"{result.repaired.num:,}"),
            result.repaired.describe(),
        )
    if result.skipped:
        logger.warning(
            "Rows at fault that are left out: %s of %s. %s",
            *(f"{result.skipped.num:,}", f"{result.skipped.num + len(result):,}"),
            result.skipped.describe(),
        )
    return result
