"""The same cells as pandas' reader and Python's writer have, on random tables."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import read_table

CELL = st.text(st.sampled_from("ab가각 ,;\t\"'\n\u2028\u00a0\u200b\x1c"), max_size=8)
ROWS = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)
)
QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def header_of(rows: list[list[str]]) -> list[str]:
    return [f"column {number}" for number in range(len(rows[0]))]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
@QUICK
@given(rows=ROWS, line_end=st.sampled_from(["\n", "\r\n"]), quote_all=st.booleans())
def test_quoted_tables_are_read_as_pandas_reads_them(
    tmp_path: Path,
    suffix: str,
    delimiter: str,
    rows: list[list[str]],
    line_end: str,
    quote_all: bool,
) -> None:
    path = tmp_path / f"a{suffix}"
    header = header_of(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file,
            delimiter=delimiter,
            lineterminator=line_end,
            quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
        )
        writer.writerows([header, *rows])
    table = read_table(path, config=TableConfig(quoting="csv"), key="--file")
    frame = pd.read_csv(
        io.StringIO(path.read_bytes().decode()),
        sep=delimiter,
        dtype=str,
        keep_default_na=False,
        skip_blank_lines=True,
    )
    assert list(table.names) == list(frame.columns)
    assert [list(row) for row in zip(*table.columns.values(), strict=True)] == rows
    assert frame.to_numpy().tolist() == rows


@QUICK
@given(rows=ROWS)
def test_unquoted_tables_are_split_at_every_tab(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "a.tsv"
    plain = [[cell.replace("\t", " ").replace("\n", " ") for cell in row] for row in rows]
    lines = ["\t".join(row) for row in [header_of(rows), *plain]]
    path.write_bytes("\n".join(lines).encode())
    table = read_table(path, config=TableConfig(quoting="none"), key="--file")
    assert [list(row) for row in zip(*table.columns.values(), strict=True)] == plain


@QUICK
@given(rows=ROWS)
def test_records_begin_on_the_lines_that_are_named(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
            [header_of(rows), *rows]
        )
    table = read_table(path, key="--file")
    lines = path.read_text("utf-8").split("\n")
    for row, cells in enumerate(rows):
        number = int(table.where(row).rpartition(":")[2])
        start = '"' + cells[0].replace('"', '""').split("\n")[0]
        assert lines[number - 1].startswith(start)
