"""Rows of tokens and their tags in, texts with labelled spans out.

[경, 찰, 은], [B-OG, I-OG, O]  ->  "경찰은", words (0, 1) (1, 2) (2, 3), (Span(0, 2, "OG"),)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bert_tf.data.tables.cells import text_of
from bert_tf.data.tables.faults import NUM_FIRST, Counted, ExampleError, Faults
from bert_tf.data.tables.joining import joint_of
from bert_tf.data.tables.values import unify_labels
from bert_tf.data.token_labels.cells import words_of
from bert_tf.data.token_labels.detection import detect_form
from bert_tf.data.token_labels.rows import Rows, Words
from bert_tf.data.token_labels.schemes import PREFIXED, Run, Scheme, TagForm, runs_of
from bert_tf.data.token_labels.spans import Span, check_spans
from bert_tf.system.listing import listed

TEXT_KEY = "finetuning.text_field"
TOKENS_KEY = "finetuning.task.tokens_field"
TAGS_KEY = "finetuning.task.tags_field"
BROKEN_TAGS_SETTING = "finetuning.task.broken_tags"
WITHOUT_LABEL = re.compile(r"[BIESLU][-_]\s*|\s*[-_][BIESLU]")
NUM_SHOWN = 5


def read_tagged(
    found: Faults,
    *,
    text_field: str | None,
    tokens_field: str,
    tags_field: str,
    scheme: Scheme | Literal["auto"],
    broken_tags: Literal["repair", "refuse"],
    joined: Literal["auto", "space", "nothing"],
) -> Rows:
    """The examples of a table.

    Args:
        found: has the table, and takes rows at fault.
        text_field: None where tokens make the text.

    Raises:
        ValueError: see `read_labelled_texts`.
    """
    texts = None if text_field is None else found.table.column(text_field, key=TEXT_KEY)
    tokens = found.table.column(tokens_field, key=TOKENS_KEY)
    tags = found.table.column(tags_field, key=TAGS_KEY)
    read: list[_Row] = []
    for number in range(len(found.table)):
        try:
            text = None if texts is None else text_of(texts[number], field=str(text_field))
            own_tokens = words_of(tokens[number], field=tokens_field, what="tokens")
            own_tags = words_of(tags[number], field=tags_field, what="tags")
            row = _Row(number, text, own_tokens, own_tags)
            _check(row, fields=(tokens_field, tags_field), scheme=scheme)
            read.append(row)
        except ExampleError as fault:
            found.add(number, fault)
    if not read:
        return Rows(None)
    joint = ""
    if texts is None:
        sentences = (row.tokens for row in read)
        place = found.where(read[0].number)
        setting = "finetuning.table.joined"
        joint = joint_of(sentences, joined=joined, place=place, setting=setting)
    read = _with_unified_tags(read, found)
    form = detect_form(
        [row.tags for row in read],
        where=lambda place: found.where(read[place].number),
        scheme=scheme,
    )
    return _labelled(read, found, form=form, joint=joint, broken_tags=broken_tags)


def place_words(tokens: Sequence[str], *, text: str) -> Words:
    """Where tokens stand in a text, one after the other, white space or nothing between them.

    Raises:
        ExampleError: one does not stand there, or the text has more than the tokens.
    """
    words = []
    end = 0
    for number, token in enumerate(tokens, start=1):
        start = end
        while not text.startswith(token, start):
            if not text[start : start + 1].isspace():
                raise ExampleError(
                    "tokens must stand in their text one after the other, with white space or "
                    f"nothing between them. Received: token {number}, {token!r:.60}, where the "
                    f"text goes on with {text[start : start + 20]!r}. Repair the row, or take out "
                    "the column of the texts if tokens make them."
                )
            start += 1
        end = start + len(token)
        words.append((start, end))
    if rest := text[end:].strip():
        raise ExampleError(
            f"the tokens must be all of their text. Received: {rest!r:.60} behind the last one. "
            "Repair the row, or take out the column of the texts if tokens make them."
        )
    return tuple(words)


@dataclass(frozen=True)
class _Row:
    number: int
    text: str | None
    """None: what its tokens make."""
    tokens: list[str]
    tags: list[str]


def _check(row: _Row, *, fields: tuple[str, str], scheme: str) -> None:
    if len(row.tokens) != len(row.tags):
        raise ExampleError(
            f"every token must have one tag. Received: {len(row.tokens):,} tokens in "
            f"{fields[0]!r}, {len(row.tags):,} tags in {fields[1]!r}. Repair the row."
        )
    if not any(token.strip() for token in row.tokens):
        raise ExampleError(
            f"an example needs a text. Received: {listed(map(repr, row.tokens)) or 'no token'} in "
            f"{fields[0]!r}, nothing to read. Fill it in, or take the example out."
        )
    if scheme != "auto" and scheme not in PREFIXED:
        return
    for place, tag in enumerate(row.tags, start=1):
        if WITHOUT_LABEL.fullmatch(tag):
            raise ExampleError(
                f"every tag must have a label. Received: {tag!r}, number {place}. Name it, "
                "or write O for a word that has none."
            )


def _with_unified_tags(read: Sequence[_Row], found: Faults) -> list[_Row]:
    """Tags that look alike, such as B-인명 in NFC and NFD, in one spelling."""
    row_of = [row.number for row in read for _ in row.tags]
    tags = iter(
        unify_labels(
            [tag for row in read for tag in row.tags],
            where=lambda place: found.where(row_of[place]),
            key=TAGS_KEY,
        )
    )
    return [_Row(row.number, row.text, row.tokens, [next(tags) for _ in row.tags]) for row in read]


def _labelled(
    read: Sequence[_Row], found: Faults, *, form: TagForm, joint: str, broken_tags: str
) -> Rows:
    rows = Rows(form)
    num_broken = 0
    first: list[str] = []
    for row in read:
        text = joint.join(row.tokens) if row.text is None else row.text
        try:
            runs = runs_of(row.tags, form=form)
            broken = [run for run in runs if not run.is_well_formed]
            if broken and broken_tags == "refuse":
                raise ExampleError(
                    f"tags must be as {form.describe()} has them. Received: "
                    f"{_described(broken[0], row)}. Repair them, or set "
                    f"{BROKEN_TAGS_SETTING}=repair."
                )
            words = _words(row, joint=joint)
            spans = [Span(words[run.start][0], words[run.end - 1][1], run.label) for run in runs]
            rows.append(row.number, text, check_spans(spans, text=text), words)
        except ExampleError as fault:
            found.add(row.number, fault)
            continue
        num_broken += len(broken)
        for run in broken[: NUM_FIRST - len(first)]:
            first.append(f"{found.where(row.number)}: {_described(run, row)}")
    rows.repaired = Counted(num_broken, tuple(first))
    return rows


def _words(row: _Row, *, joint: str) -> Words:
    if row.text is not None:
        return place_words(row.tokens, text=row.text)
    words = []
    start = 0
    for token in row.tokens:
        words.append((start, start + len(token)))
        start += len(token) + len(joint)
    return tuple(words)


def _described(run: Run, row: _Row) -> str:
    before = f" behind {row.tags[run.start - 1]}" if run.start else ""
    tags = listed(row.tags[run.start : run.end], max_items=NUM_SHOWN)
    return f"{tags}{before}, from token {run.start + 1} on"
