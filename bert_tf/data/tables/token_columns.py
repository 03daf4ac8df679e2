"""A file with a token and its tag a line in, its sentences as rows of a table out.

    # sent_id = s-1
    EU       NNP  B-ORG
    rejects  VBZ  O
    ->  line 2, id s-1, text "EU rejects", tokens [EU, rejects], tags [B-ORG, O]

Left out: blank lines, which end a sentence, lines of -DOCSTART-, and comments.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bert_tf.config import TableConfig
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.joining import joint_of
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.settings import table_setting
from bert_tf.data.tables.table import Table

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 256
DOCUMENT_START = "-DOCSTART-"
SEPARATOR = re.compile("[ \t]+")
COMMENT_ID = re.compile(r"#+\s*(?:(?:sent_)?id\s*[=:]\s*(\S+)\s*$|(\S+)\t)")
"""`# sent_id = s-1`, `# id: s-1`, or `## s-1` before a tab."""


class Line(NamedTuple):
    """One token."""

    number: int
    """From 1, in the file."""
    cells: list[str]


class Sentence(NamedTuple):
    """The lines between two blank ones."""

    id: str | None
    lines: list[Line]


def read_token_columns(path: Path, *, config: TableConfig, key: str) -> Iterator[Table]:
    """The sentences of a file, which is held whole: columns `text`, `tokens`, `tags`, maybe `id`.

    Tabs part columns if the first token's line has one, else white space does. A line that begins
    with `#` is a comment, unless it is a token's: it has as many columns as the first, and with
    tabs no space behind the `#`, without them a tag that another line has. The sentences have
    an `id` if each has one of its own in a comment before it, see `COMMENT_ID`.

    Raises:
        ValueError: path and line of a sentence's token that has more or fewer columns than the
            first, or lacks its token or tag; or where it has to be said which column the tokens
            are in, or how they are joined; or see `open_text`.
    """
    with open_text(path, config=config, key=key) as lines:
        contents = [_content(line) for line in lines]
    sentences = _sentences(contents, path, config=config, key=key)
    if not sentences:
        return
    token_place, tag_place = _places(sentences, path, config=config, key=key)
    columns = [
        [[_cell(line, place, path, what=what) for line in part.lines] for part in sentences]
        for place, what in ((token_place, "token"), (tag_place, "tag"))
    ]
    num_comments = sum(map(bool, contents)) - sum(map(len, columns[0]))
    joint = joint_of(
        columns[0], joined=config.joined, place=str(path), setting=table_setting("joined", key=key)
    )
    logger.info(
        "%s: %s sentences of token columns; tokens in column %d, tags in column %d, %s in between; "
        "comments left out: %s lines.",
        *(path, f"{len(sentences):,}", token_place + 1, tag_place + 1),
        *("a space" if joint else "nothing", f"{num_comments:,}"),
    )
    yield from _tables(sentences, *columns, joint=joint, source=Source(str(path), has_lines=True))


def _sentences(
    contents: Sequence[str], path: Path, *, config: TableConfig, key: str
) -> list[Sentence]:
    """What the lines of a file hold; all tokens have the same number of columns, two at least."""
    filled = [line for line in contents if line]
    first = next((line for line in filled if not line.startswith("#")), (*filled, "")[0])
    delimiter = "\t" if "\t" in first else None
    width = len(_split(first, delimiter))
    tag_place = (config.tag_column or width) - 1
    tags: frozenset[str] = frozenset()
    if delimiter is None and any(line.startswith("#") for line in filled):
        tags = frozenset(_tags(filled, place=tag_place))
    sentences = [Sentence(None, [])]
    comment_id: str | None = None
    for number, line in enumerate(contents, start=1):
        if not line:
            sentences.append(Sentence(None, []))
        elif line.startswith("#") and _is_comment(
            line, delimiter, width=width, tag_place=tag_place, tags=tags
        ):
            if found := COMMENT_ID.match(line):
                comment_id = found[1] or found[2]
        else:
            cells = _split(line, delimiter)
            if len(cells) != width or width < 2:
                raise _wrong_width(f"{path}:{number}", len(cells), width, delimiter, key=key)
            if not sentences[-1].lines:
                sentences[-1] = Sentence(comment_id, [])
                comment_id = None
            sentences[-1].lines.append(Line(number, cells))
    return [sentence for sentence in sentences if sentence.lines]


def _content(line: str) -> str:
    """A line without its end; nothing of one that ends a sentence."""
    line = line.rstrip("\r\n")
    if line[:1] in (" ", "\t", "-"):
        is_blank = not line.strip(" ") or not line.strip("\t")
        return "" if is_blank or line.startswith(DOCUMENT_START) else line
    return line


def _split(line: str, delimiter: str | None) -> list[str]:
    """Cells between tabs, or between runs of spaces and tabs."""
    if delimiter is not None:
        return line.split(delimiter)
    line = line.strip(" \t")
    return SEPARATOR.split(line) if "\t" in line or "  " in line else line.split(" ")


def _tags(lines: Iterable[str], *, place: int) -> Iterator[str]:
    for line in lines:
        cells = _split(line, None)
        if not line.startswith("#") and place < len(cells):
            yield cells[place]


def _is_comment(
    line: str, delimiter: str | None, *, width: int, tag_place: int, tags: frozenset[str]
) -> bool:
    """Of a line that begins with `#`; see `read_token_columns`."""
    cells = _split(line, delimiter)
    if len(cells) != width:
        return True
    if delimiter is not None:
        return re.match("#+ ", line) is not None
    return tag_place >= width or cells[tag_place] not in tags


def _wrong_width(
    place: str, received: int, width: int, delimiter: str | None, *, key: str
) -> ValueError:
    expected = f"the {width} columns of the first" if width > 1 else "a token and its tag"
    parts = "Tabs" if delimiter else "Spaces"
    table = ""
    if not key.startswith("--"):
        table = f", or set {table_setting('layout', key=key)}=table if a line is a record"
    return ValueError(
        f"{place}: a line of token columns must have {expected}. Received: {received}. {parts} "
        f"part columns, and a blank line ends a sentence: repair the line{table}."
    )


def _places(
    sentences: Sequence[Sentence], path: Path, *, config: TableConfig, key: str
) -> tuple[int, int]:
    """Which columns hold the tokens and the tags, from 0."""
    width = len(sentences[0].lines[0].cells)
    token_setting = table_setting("token_column", key=key)
    for name in ("token_column", "tag_column"):
        number = getattr(config, name)
        if number is not None and number > width:
            raise ValueError(
                f"{path}:{sentences[0].lines[0].number}: {table_setting(name, key=key)} must be "
                f"one of the {width} columns. Received: {number}. Set another."
            )
    tag_place = (config.tag_column or width) - 1
    token_place = (config.token_column or 1) - 1
    if config.token_column is None and width > 2:
        cells = [[line.cells[0] for line in sentence.lines] for sentence in sentences]
        if _count_tokens(cells):
            token_place = 1
        elif all(re.fullmatch(r"\d+([-.]\d+)?", cell) for part in cells for cell in part):
            raise ValueError(
                f"{path}:{sentences[0].lines[0].number}: the first column must hold the tokens, or "
                "count those of each sentence. Received: numbers alone, which do not count them. "
                f"Set {token_setting}."
            )
    if token_place == tag_place:
        raise ValueError(
            f"{path}:{sentences[0].lines[0].number}: tokens and tags must be in two columns. "
            f"Received: column {tag_place + 1} for both. Set {token_setting} and "
            f"{table_setting('tag_column', key=key)}."
        )
    return token_place, tag_place


def _cell(line: Line, place: int, path: Path, *, what: str) -> str:
    if not line.cells[place]:
        raise ValueError(
            f"{path}:{line.number}: a line must have a {what} in column {place + 1}. Received: "
            "nothing there. Fill it in, or leave the sentence out."
        )
    return line.cells[place]


def _count_tokens(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether the cells are 1, 2, 3, … or 0, 1, 2, … in every sentence, of which one has two."""
    return max(map(len, sentences)) > 1 and any(
        all(
            cell == str(number)
            for cells in sentences
            for number, cell in enumerate(cells, start=start)
        )
        for start in (0, 1)
    )


def _tables(
    sentences: Sequence[Sentence],
    tokens: Sequence[list[str]],
    tags: Sequence[list[str]],
    *,
    joint: str,
    source: Source,
) -> Iterator[Table]:
    ids = [sentence.id for sentence in sentences]
    have_ids = None not in ids and len(set(ids)) == len(ids)
    for start in range(0, len(sentences), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        columns: dict[str, list] = {
            "text": [joint.join(part) for part in tokens[rows]],
            "tokens": list(tokens[rows]),
            "tags": list(tags[rows]),
        }
        if have_ids:
            columns["id"] = ids[rows]
        yield Table(columns, Origins.of(source, (part.lines[0].number for part in sentences[rows])))
