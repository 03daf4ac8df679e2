"""Raw text in, a stream of documents out.

A document is a sequence of paragraphs. In .txt a line is a paragraph, and
`corpus.document_boundary` says what ends a document; in .jsonl, .parquet and hub data sets every
row is a document and its text's lines are paragraphs. A line is never joined with the next one:
text wrapped at a column is unwrapped by whoever wrapped it. Nothing is held but the document at
hand.

WikiText (Merity et al. 2016) has its articles in a row, each under a ` = Title = ` between blank
lines, with ` = = Section = = ` headings of their own. Headings are no sentences: as for BERT's own
Wikipedia (Devlin et al. 2019, section 3.1) they are left out. Its tokens (` @-@ `, `<unk>`) stay.
"""

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bert_tf.config import CorpusConfig
from bert_tf.data.corpora.document import Document, held_out_rule, is_held_out
from bert_tf.data.corpora.files import (
    find_corpus_files,
    kind_of,
    list_files,
    read_lines,
    read_text,
)
from bert_tf.data.corpora.hub import PREFIX, HubName, read_hub_rows
from bert_tf.data.corpora.lines import Line, Lines, decode_lines
from bert_tf.data.corpora.rows import json_texts, read_json_lines, read_rows
from bert_tf.data.corpora.selection import OnDropped, select_documents
from bert_tf.data.corpora.standard_input import NAME, STANDARD_INPUT, StandardInput

__all__ = [
    "Document",
    "check_beginnings",
    "count_left_out",
    "held_out_rule",
    "is_held_out",
    "list_files",
    "list_sources",
    "read_batches",
    "read_documents",
    "read_json_lines",
    "read_lines",
]

logger = logging.getLogger(__name__)

HEADING = re.compile(r"=((?: =)*) (?!=)\S(?:.*\S)?\1 =")
"""A stripped line; the group is empty for a title."""


def list_sources(paths: Iterable[str]) -> list[str | Path]:
    """Standard input ("-") if it is asked for, hub names, then files, sorted, each once.

    Raises:
        FileNotFoundError, ValueError: see `list_files`; standard input is named twice; a hub name
            is none.
    """
    paths = list(paths)
    num_inputs = paths.count(STANDARD_INPUT)
    if num_inputs > 1:
        raise ValueError(
            f"corpus.paths must name {NAME} ({STANDARD_INPUT!r}) once: it can be read once. "
            f"Received: {num_inputs} times. Leave it once."
        )
    others, files = _split(paths)
    for name in others[num_inputs:]:
        HubName.parse(name)
    return [*others, *(list_files(files) if files or not others else [])]


def count_left_out(paths: Iterable[str]) -> dict[str, int]:
    """What `list_sources` leaves out: reason -> number of files and folders."""
    return find_corpus_files(_split(paths)[1]).left_out


def _split(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Standard input and hub names, each once; and the names of files."""
    paths = list(paths)
    others = {path for path in paths if path == STANDARD_INPUT or path.startswith(PREFIX)}
    return sorted(others), [path for path in paths if path not in others]


def read_documents(
    config: CorpusConfig,
    *,
    standard_input: StandardInput | None = None,
    on_dropped: OnDropped | None = None,
) -> Iterator[Document]:
    """Documents in the order of `list_sources`, streaming, without those that `config` drops.

    `on_dropped` hears of those. A file without a document is passed over with a warning.

    Raises:
        FileNotFoundError, ValueError: see `list_sources` and `read_batches`.
    """
    batches = read_batches(
        config,
        sources=list_sources(config.paths),
        standard_input=standard_input,
        on_dropped=on_dropped,
    )
    return itertools.chain.from_iterable(batches)


def read_batches(
    config: CorpusConfig,
    *,
    sources: Sequence[str | Path],
    standard_input: StandardInput | None = None,
    on_dropped: OnDropped | None = None,
) -> Iterator[Sequence[Document]]:
    """The documents of `sources`, a few at a time: one by one, half of the time went into that.

    `sources` are as of `list_sources`; for the rest see `read_documents`.

    Raises:
        ValueError: no document in any file, a damaged file, bytes that are not in `encoding` under
            `encoding_errors: error` (or half a surrogate pair in .jsonl, which no UTF-8 can hold),
            a row without the text field, or a path "-" without `standard_input`.
    """
    batches = _read_all(sources, config=config, standard_input=standard_input)
    return select_documents(batches, config=config, on_dropped=on_dropped)


def check_beginnings(config: CorpusConfig, sources: Iterable[str | Path]) -> None:
    """Read the first lines or row of every file, so that one of another encoding or kind is refused
    before anything is written.

    Raises:
        ValueError: see `read_batches`.
    """
    for source in sources:
        if isinstance(source, Path):
            for items in _open_source(source, config=config, standard_input=None):
                next(iter(items), None)


def _read_all(
    sources: Sequence[str | Path], *, config: CorpusConfig, standard_input: StandardInput | None
) -> Iterator[Sequence[Document]]:
    is_any_read = False
    for source in sources:
        is_empty = True
        for batch in _read_source(source, config=config, standard_input=standard_input):
            is_empty = is_empty and not batch
            yield batch
        if is_empty:
            logger.warning("%s: no document in it, passed over.", _name(source))
        is_any_read = is_any_read or not is_empty
    if not is_any_read:
        raise ValueError(
            f"{_name(sources[0])}: a corpus needs at least one document. Received: "
            f"{len(sources)} file(s) with nothing but white space. Set corpus.paths to files with "
            "text."
        )


def _read_source(
    source: str | Path, *, config: CorpusConfig, standard_input: StandardInput | None
) -> Iterator[Sequence[Document]]:
    lines, rows = _open_source(source, config=config, standard_input=standard_input)
    name = _name(source)
    if config.document_boundary == "wikitext":
        every = itertools.chain(_text_lines(lines), _row_lines(rows))
        return ((document,) for document in _article_documents(name, every))
    if config.document_boundary == "line":
        batches = _line_documents(name, lines)
    else:
        is_block = config.document_boundary == "blank_line"
        batches = _block_documents(name, lines, blank_line_ends=is_block)
    return itertools.chain(batches, _row_documents(name, rows))


def _open_source(
    source: str | Path, *, config: CorpusConfig, standard_input: StandardInput | None
) -> tuple[Iterable[Lines], Iterable[Line]]:
    """Lines of text, or the texts of rows: the other is empty."""
    text_field, errors, encoding = config.text_field, config.encoding_errors, config.encoding
    if isinstance(source, Path):
        if kind_of(source) == ".txt":
            return read_text(source, encoding_errors=errors, encoding=encoding), ()
        return (), read_rows(
            source, text_field=text_field, encoding_errors=errors, encoding=encoding
        )
    if source != STANDARD_INPUT:
        return (), read_hub_rows(source, text_field=text_field, encoding_errors=errors)
    if standard_input is None:
        raise ValueError(
            f"corpus.paths may name {NAME} ({STANDARD_INPUT!r}) for `bert-tf prepare` only, which "
            "reads its corpus once. Received: it here. Write it to a file and set corpus.paths to "
            "that."
        )
    lines = decode_lines(standard_input.read, NAME, encoding_errors=errors, encoding=encoding)
    if config.standard_input_kind == "txt":
        return lines, ()
    return (), json_texts(lines, NAME, text_field=text_field, encoding_errors=errors)


def _name(source: str | Path) -> str:
    return NAME if source == STANDARD_INPUT else str(source)


def _row_lines(rows: Iterable[Line]) -> Iterator[Line]:
    for row in rows:
        first, *others = row.text.removesuffix("\n").split("\n")
        yield row._replace(text=first)
        for other in others:
            yield Line(row.number, other, False)


def _text_lines(lines: Iterable[Lines]) -> Iterator[Line]:
    for chunk in lines:
        for number, text in chunk.numbered():
            yield Line(number, text, chunk.is_repaired)


def _row_documents(name: str, rows: Iterable[Line]) -> Iterator[Sequence[Document]]:
    for number, text, is_repaired in rows:
        paragraphs = [stripped for part in text.splitlines() if (stripped := part.strip())]
        if paragraphs:
            yield (Document(tuple(paragraphs), name, number, int(is_repaired)),)


def _line_documents(name: str, lines: Iterable[Lines]) -> Iterator[Sequence[Document]]:
    for chunk in lines:
        num_repaired = int(chunk.is_repaired)
        yield [
            Document((stripped,), name, number, num_repaired)
            for number, text in chunk.numbered()
            if (stripped := text.strip())
        ]


def _block_documents(
    name: str, lines: Iterable[Lines], *, blank_line_ends: bool
) -> Iterator[Sequence[Document]]:
    paragraphs: list[str] = []
    first_number = num_repaired = 0
    for chunk in lines:
        for number, text in chunk.numbered():
            stripped = text.strip()
            if stripped:
                first_number = first_number if paragraphs else number
                paragraphs.append(stripped)
                num_repaired += chunk.is_repaired
            elif blank_line_ends and paragraphs:
                yield (Document(tuple(paragraphs), name, first_number, num_repaired),)
                paragraphs, num_repaired = [], 0
    if paragraphs:
        yield (Document(tuple(paragraphs), name, first_number, num_repaired),)


def _article_documents(name: str, lines: Iterable[Line]) -> Iterator[Document]:
    """Articles; what stands before the first title is one, too, and one without text is none."""
    gathered: list[Line] = []
    for line, is_heading, is_title in _marked_headings(lines):
        if is_title and gathered:
            yield _joined(name, gathered)
            gathered = []
        if line.text.strip() and not is_heading:
            gathered.append(line)
    if gathered:
        yield _joined(name, gathered)


def _joined(name: str, lines: list[Line]) -> Document:
    return Document(
        tuple(line.text.strip() for line in lines),
        name,
        lines[0].number,
        sum(line.is_repaired for line in lines),
    )


def _marked_headings(lines: Iterable[Line]) -> Iterator[tuple[Line, bool, bool]]:
    """Each line with whether it is a heading, and whether that is a title.

    Only between blank lines (or the file's ends) is it one: tables have lines such as "= 3 =".
    """
    before = ""
    at_hand: Line | None = None
    for line in itertools.chain(lines, [None]):
        if at_hand is not None:
            text = at_hand.text.strip()
            is_alone = not before and (line is None or not line.text.strip())
            heading = HEADING.fullmatch(text) if is_alone else None
            yield at_hand, heading is not None, heading is not None and not heading[1]
            before = text
        at_hand = line
