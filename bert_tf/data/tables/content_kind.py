"""A file in; refused where its content is of another kind than its name says.

"data.tsv", of "id,text,label\\n1,fine,pos\\n"  ->  refused: looks like a .csv
"""

import csv
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from bert_tf.config import TableConfig
from bert_tf.data.corpora.files import COMPRESSIONS, damage_named, open_bytes
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.finding import DELIMITED, TOKEN_COLUMNS
from bert_tf.data.tables.quoting import DELIMITER_NAMES
from bert_tf.data.tables.settings import table_setting, token_columns_question
from bert_tf.system.json_files import JsonError, decode_json
from bert_tf.system.listing import shortened

MAGIC = {
    b"PAR1": "a .parquet file",
    b"PK\x03\x04": "a spreadsheet (.xlsx, .ods) or another .zip archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of an old kind (.xls)",
    b"\x1f\x8b": "a .gz file",
    b"\x28\xb5\x2f\xfd": "a .zst file",
    b"ARROW1": "an .arrow file",
    b"%PDF": "a .pdf file",
    b"SQLite format 3": "a database of SQLite",
}
"""First bytes -> what begins with them."""
NUM_LINES = 50
"""Which are looked at."""
FEWEST_LINES = 3
"""Of a table without a header that must agree in their number of cells to be of another kind."""
LONGEST_LINE = 1 << 20
"""Characters; the rest is not looked at."""
WEB_PAGE = re.compile(r"<(!doctype|html|\?xml)\b", re.IGNORECASE)
NAME = re.compile(r'"?[^\W\d][\w.\-/#()&:]*( [\w.\-/#()&:]+)?"?')
"""What a cell of a header may be: a word or two."""
NUM_TOKENS = 1000
"""Lines that are looked at to see whether each has a token and its tag."""
PREFIXED = re.compile(r"[BIESLU][-_]\S+|\S+[-_][BIESLU]")
OUTSIDE = ("O", "-")
"""Tags."""
OTHER_DELIMITERS = {"|": "Bars"}


def check_content(path: Path, *, kind: str, config: TableConfig, key: str) -> None:
    """Raise ValueError if the first bytes or lines are those of another kind of file.

    So are those of token columns in a file that is read as a table.

    Args:
        kind: what its name says: one of `finding.KINDS`.
    """
    found = _kind_by_magic(path)
    if found is None:
        _check_layout(path, kind=kind, config=config, key=key)
    if found is None and kind not in (".parquet", *TOKEN_COLUMNS):
        with open_text(path, config=config, key=key) as lines:
            first = [line[:LONGEST_LINE] for line in itertools.islice(lines, NUM_LINES)]
        found = _kind_by_lines(
            [line.rstrip("\r\n") for line in first if line.strip()],
            kind=kind,
            has_header=config.has_header,
            has_quotes=config.quoting != "none",
        )
    if found is None or found == f"a {kind} file":
        return
    raise ValueError(
        f"{path}:1: a {kind} file must hold what its name says. Received: what looks like {found}. "
        f"{_advice(found)}, or set {key} to another file."
    )


def check_is_text(path: Path, *, key: str) -> None:
    """Raise ValueError if the first bytes are those of what is no text file."""
    found = _kind_by_magic(path)
    if found is not None:
        raise ValueError(
            f"{path}:1: a text file must hold text. Received: what looks like {found}. "
            f"{_advice(found)}, or set {key} to another file."
        )


def check_parted(names: Sequence[str], *, place: str) -> None:
    """Raise ValueError if a table's only column has the names of several."""
    if len(names) != 1:
        return
    for delimiter in "\t,;|":
        parts = names[0].split(delimiter)
        if len(parts) > 1 and all(map(NAME.fullmatch, parts)):
            raise ValueError(
                f"{place}: a table of one column must have the name of one. Received: "
                f"{names[0]!r}, the names of {len(parts)} between {delimiter!r}. Read its file "
                f"with sep={delimiter!r}."
            )


def _check_layout(path: Path, *, kind: str, config: TableConfig, key: str) -> None:
    """Raise ValueError if a file that is read as a table looks like one of token columns."""
    layout = table_setting("layout", key=key)
    if kind in TOKEN_COLUMNS and config.layout == "table":
        raise ValueError(
            f"{path}: a {kind} file must be read as token columns. Received: {layout}=table. "
            f"Set {layout}=auto, or give a table the ending .tsv."
        )
    if kind != ".tsv" or config.layout == "table":
        return
    with open_text(path, config=config, key=key) as lines:
        numbered = [*enumerate(itertools.islice(lines, NUM_TOKENS), start=1)]
    tokens = [
        (number, line.rstrip("\r\n").split("\t" if "\t" in line else None))
        for number, line in numbered
        if line.strip() and not re.match("#+ |#+[^\t]*$", line)
    ]
    tags = [cells[-1] for _, cells in tokens if len(cells) > 1]
    is_told = any(map(PREFIXED.fullmatch, tags))
    if is_told and len(tags) == len(tokens) and all(map(_is_tag, tags)):
        number, cells = next(line for line in tokens if PREFIXED.fullmatch(line[1][-1]))
        other = "" if key.startswith("--") else f" If it is a table, set {layout}=table."
        raise ValueError(
            f"{path}:{number}: a line of a table must be a record. Received: what looks like a "
            f"token and its tag, {shortened(cells[0])!r} and {shortened(cells[-1])!r}. "
            f"{token_columns_question(key)}{other}"
        )


def _is_tag(text: str) -> bool:
    return text in OUTSIDE or PREFIXED.fullmatch(text) is not None


def _advice(found: str) -> str:
    ending = re.match(r"an? (\.\w+) file", found)
    known = (*DELIMITED, ".jsonl", ".json", ".parquet", *COMPRESSIONS)
    if ending and ending[1] in known:
        verb = "Add this to its name" if ending[1] in COMPRESSIONS else "Rename it"
        return f"{verb}, with the ending {ending[1]}"
    return "Save it as a .csv"


def _kind_by_magic(path: Path) -> str | None:
    with path.open("rb") as stream:
        start = stream.read(16)
    if path.suffix.lower() in COMPRESSIONS:
        with open_bytes(path) as unpacked, damage_named(path):
            start = unpacked.read(16)
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)


def _kind_by_lines(
    lines: Sequence[str], *, kind: str, has_header: bool, has_quotes: bool
) -> str | None:
    if not lines:
        return None
    first = lines[0].strip()
    if WEB_PAGE.match(first):
        return "a web page or XML"
    as_json = _kind_of_json(first, lines)
    if as_json or kind in (".jsonl", ".json"):
        if kind == ".json" or as_json is None:
            as_json = None  # a .json of several objects is told when it is parsed
        if as_json or first.startswith(("{", "[")):
            return as_json
        return _other_delimiter(lines, None, has_header=True, has_quotes=has_quotes)
    own = "\t" if kind == ".tsv" else ","
    return _other_delimiter(lines, own, has_header=has_header, has_quotes=has_quotes)


def _kind_of_json(first: str, lines: Sequence[str]) -> str | None:
    if first in ("[", "{", "[{"):
        return "a .json file"
    if not first.startswith(("{", "[")):
        return None
    try:
        value = decode_json(first)
    except JsonError:
        # The beginning of a list on one long line, or of one whose first object is on its line.
        return "a .json file" if re.match(r'\[\s*\{\s*"', first) else None
    if isinstance(value, dict):
        return "a .jsonl file"
    is_list = isinstance(value, list) and bool(value) and len(lines) == 1
    return "a .json file" if is_list and all(isinstance(row, dict) for row in value) else None


def _other_delimiter(
    lines: Sequence[str], own: str | None, *, has_header: bool, has_quotes: bool
) -> str | None:
    """The kind whose delimiter parts the lines, where the kind's own does not part the first.

    In a .csv semicolons and tabs are fine, if there is no comma in the first line.
    """
    first = lines[0]
    if own == "\t" and "\t" in first:
        return None
    for delimiter, kind in (("\t", "a .tsv file"), (",", "a .csv file"), (";", "a .csv file")):
        is_own = own == "," and (delimiter != "\t" or "," not in first)
        if delimiter in first and not is_own and _parts(lines, delimiter, has_header, has_quotes):
            if own == "," and _parts(lines, ",", has_header, has_quotes):
                continue
            names = DELIMITER_NAMES[delimiter].lower()
            return f"{kind}" if own is None else f"{kind} ({names} part its first line)"
    alone = not any(character in first for character in ",;\t")
    if own is not None and alone and _parts(lines, "|", has_header, has_quotes):
        return "a table with | between its cells"
    return None


def _parts(lines: Sequence[str], delimiter: str, has_header: bool, has_quotes: bool) -> bool:
    """Whether a delimiter gives all lines as many cells, or the first one a header's."""
    if delimiter not in lines[0]:
        return False
    if has_header and all(map(NAME.fullmatch, lines[0].split(delimiter))):
        return True
    try:
        rows = list(
            csv.reader(lines, delimiter=delimiter, quoting=0 if has_quotes else 3)
        )  # QUOTE_MINIMAL, QUOTE_NONE
    except csv.Error:
        return False
    return len(rows) >= FEWEST_LINES and len({len(row) for row in rows}) == 1
