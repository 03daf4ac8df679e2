"""Memory while a table is read some rows at a time: a function of the batch, not of the file."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from bert_tf.data.tables.reading import iter_tables, read_table

TEXT = "정말 재미있고 감동적인 영화였어요 " * 5
BATCH_ROWS = 64


def make_file(path: Path, *, num_rows: int) -> Path:
    frame = pd.DataFrame({"text": [f'{row} "{TEXT}"' for row in range(num_rows)], "n": 1})
    if ".parquet" in path.suffixes:
        frame.to_parquet(path, row_group_size=1_000)
    elif ".jsonl" in path.suffixes:
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.suffixes else ",")
    return path


def peak_of(path: Path) -> int:
    """Bytes of Python's; Arrow's buffers are its own."""
    tracemalloc.start()
    try:
        assert sum(map(len, iter_tables(path, key="--file", batch_rows=BATCH_ROWS))) > 0
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    peak_of(make_file(tmp_path / name, num_rows=100))  # what is imported and cached at first
    small = peak_of(make_file(tmp_path / name, num_rows=2_000))
    large = peak_of(make_file(tmp_path / name, num_rows=20_000))
    assert large < 1.5 * small + 50_000
    assert large < 4_000_000, "the file is a multiple of it"


def test_the_first_rows_are_there_before_the_last_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,n\n" + "a,1\n" * 1_000 + "a,1,2\n")
    tables: Iterator[object] = iter_tables(path, key="--file", batch_rows=10)
    assert len(list(zip(range(50), tables, strict=False))) == 50
    with pytest.raises(ValueError, match=r"a\.csv:1002: a record needs the 2 cells"):
        list(tables)


def test_cells_of_megabytes_are_read(tmp_path: Path) -> None:
    import csv

    limit = csv.field_size_limit()
    path = tmp_path / "a.csv"
    path.write_text('text,n\n"' + "long, " * 500_000 + '",1\n')
    assert len(read_table(path, key="--file").columns["text"][0]) == 3_000_000
    assert csv.field_size_limit() == limit, "the process's own limit is as it was"
