"""Raw text files in, a stream of documents out.

A document is a sequence of paragraphs. In .txt a line is a paragraph, and
`corpus.document_boundary` says what ends a document; in .jsonl every line is a document and its
text's lines are paragraphs. A line is never joined with the next one: text wrapped at a column is
unwrapped by whoever wrapped it. Nothing is held but the document at hand.
"""

import codecs
import glob
import gzip
import hashlib
import json
import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from bert_tf.config import CorpusConfig

logger = logging.getLogger(__name__)

SUFFIXES = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz")
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """Paragraphs (never empty, without line ends) and where the first one stands."""

    paragraphs: tuple[str, ...]
    source: str
    """`path:line`."""

    @property
    def text(self) -> str:
        """All paragraphs, one a line."""
        return "\n".join(self.paragraphs)


def list_files(paths: Iterable[str | Path]) -> list[Path]:
    """Every corpus file that `paths` name, sorted, each once.

    A path is a file, a folder (read recursively; files of other kinds in it are passed over) or a
    glob (`**` crosses folders).

    Raises:
        FileNotFoundError: nothing is there, or a folder or glob holds no corpus file.
        ValueError: no path at all, or a file that was named itself is of another kind.
    """
    found: set[Path] = set()
    for path in paths:
        found.update(_files_of(Path(path)))
    if not found:
        raise ValueError(
            "corpus.paths must name at least one file, folder or glob. Received: nothing. "
            "Set corpus.paths, such as corpus.paths=[corpus/]."
        )
    return sorted(found)


def read_documents(config: CorpusConfig) -> Iterator[Document]:
    """Documents in the order of the sorted files, streaming.

    A file without a document is passed over with a warning.

    Raises:
        FileNotFoundError: see `list_files`.
        ValueError: no path, no document in any file, invalid UTF-8 under
            `encoding_errors: error` (or half a surrogate pair in .jsonl, which no UTF-8 can
            hold), or a .jsonl line without the text field.
    """
    files = list_files(config.paths)
    num_documents = 0
    for path in files:
        num_before = num_documents
        for document in read_file(path, config=config):
            num_documents += 1
            yield document
        if num_documents == num_before:
            logger.warning("%s: no document in it, passed over.", path)
    if not num_documents:
        raise ValueError(
            f"{files[0]}: a corpus needs at least one document. Received: {len(files)} file(s) "
            "with nothing but white space. Set corpus.paths to files with text."
        )


def read_file(path: Path, *, config: CorpusConfig) -> Iterator[Document]:
    """The documents of one file. Raises ValueError as `read_documents`."""
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        rows = read_json_lines(path, encoding_errors=config.encoding_errors)
        return _json_documents(path, rows, text_field=config.text_field)
    lines = read_lines(path, encoding_errors=config.encoding_errors)
    if config.document_boundary == "line":
        return _line_documents(path, lines)
    return _block_documents(path, lines, blank_line_ends=config.document_boundary == "blank_line")


def read_lines(path: Path, *, encoding_errors: str) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines of a plain or .gz file; a UTF-8 byte order mark is dropped.

    Only a line feed ends a line: U+2028 and its like stay inside. Bytes that are not UTF-8 raise
    ValueError (`encoding_errors="error"`) or become U+FFFD and are counted in the log ("replace").
    """
    num_replaced = 0
    with _open(path) as stream:
        lines = enumerate(stream, start=1)
        while True:
            try:
                number, raw = next(lines)
            except StopIteration:
                break
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise ValueError(
                    f"{path}: a .gz file must be whole. Received: {error}. Write the file again."
                ) from error
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                if encoding_errors == "error":
                    raise ValueError(
                        f"{path}:{number}: text must be UTF-8. Received: {error.reason} at byte "
                        f"{error.start} of the line. Convert the file, or, in a corpus, set "
                        "corpus.encoding_errors=replace."
                    ) from error
                line = raw.decode("utf-8", errors="replace")
                num_replaced += 1
            yield number, line
    if num_replaced:
        logger.warning("%s: invalid UTF-8 replaced by U+FFFD in %d line(s).", path, num_replaced)


def read_json_lines(path: Path, *, encoding_errors: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers (from 1) and objects of a .jsonl file; blank lines are passed over.

    Half a surrogate pair (`"\\ud83d"` alone) is dealt with as invalid UTF-8 is by `read_lines`.

    Raises:
        ValueError: path and line of what is no JSON object or, under "error", no UTF-8.
    """
    num_replaced = 0
    for number, line in read_lines(path, encoding_errors=encoding_errors):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        record = _parse_json_line(line, where=where)
        if SURROGATE_ESCAPE.search(line):
            text = json.dumps(record, ensure_ascii=False)
            lone = LONE_SURROGATE.search(text)
            if lone and encoding_errors == "error":
                raise ValueError(
                    f"{where}: text must be UTF-8. Received: half a surrogate pair, "
                    f"{lone[0]!a}. Write the whole character, or, in a corpus, set "
                    "corpus.encoding_errors=replace."
                )
            if lone:
                record = json.loads(LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
                num_replaced += 1
        yield number, record
    if num_replaced:
        logger.warning(
            "%s: half surrogate pairs replaced by U+FFFD in %d line(s).", path, num_replaced
        )


def is_held_out(document: Document, *, share: float, seed: int) -> bool:
    """Whether a document belongs to evaluation: a function of its text and the seed only.

    So the same text is never on both sides, and a grown corpus keeps its split.
    """
    if not share:
        return False
    key = str(seed).encode()
    digest = hashlib.blake2b(document.text.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [_corpus_file(path)]
    if path.is_dir():
        files = [file for file in path.rglob("*") if _is_corpus_file(file) and file.is_file()]
    elif glob.has_magic(str(path)):
        root = Path(path.anchor)
        matches = root.glob(str(path.relative_to(root)))
        files = [_corpus_file(match) for match in matches if match.is_file()]
    else:
        raise FileNotFoundError(
            f"{path}: a corpus path must exist. Received: no such file or folder. "
            "Set corpus.paths to an existing file, folder or glob."
        )
    if not files:
        raise FileNotFoundError(
            f"{path}: a corpus path must hold at least one of {', '.join(SUFFIXES)}. "
            "Received: none. Set corpus.paths to a folder or glob with such files."
        )
    return files


def _corpus_file(path: Path) -> Path:
    if not _is_corpus_file(path):
        raise ValueError(
            f"{path}: a corpus file must be one of {', '.join(SUFFIXES)}. Received: {path.name!r}. "
            "Convert or rename it."
        )
    return path


def _is_corpus_file(path: Path) -> bool:
    return path.name.endswith(SUFFIXES)


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _line_documents(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Document]:
    for number, line in lines:
        text = line.strip()
        if text:
            yield Document((text,), f"{path}:{number}")


def _block_documents(
    path: Path, lines: Iterable[tuple[int, str]], *, blank_line_ends: bool
) -> Iterator[Document]:
    paragraphs: list[str] = []
    start = 0
    for number, line in lines:
        text = line.strip()
        if text:
            if not paragraphs:
                start = number
            paragraphs.append(text)
        elif blank_line_ends and paragraphs:
            yield Document(tuple(paragraphs), f"{path}:{start}")
            paragraphs = []
    if paragraphs:
        yield Document(tuple(paragraphs), f"{path}:{start}")


def _json_documents(
    path: Path, rows: Iterable[tuple[int, dict[str, Any]]], *, text_field: str
) -> Iterator[Document]:
    for number, record in rows:
        text = record.get(text_field)
        if not isinstance(text, str):
            raise ValueError(
                f"{path}:{number}: a document needs text in field {text_field!r}. Received: "
                f"{text!r}, with fields {sorted(record)}. Set corpus.text_field."
            )
        paragraphs = tuple(part.strip() for part in text.splitlines() if part.strip())
        if paragraphs:
            yield Document(paragraphs, f"{path}:{number}")


def _parse_json_line(line: str, *, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{where}: a .jsonl line must be one JSON object. Received: {error}. Repair the line."
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{where}: a .jsonl line must be one JSON object. Received: {type(record).__name__}. "
            "Write each record as {...} on its own line."
        )
    return record
