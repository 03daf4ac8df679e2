"""Tables that are written batch by batch, and killed on the way."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest

from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.writing import TableWriter

SETTINGS = {"model": "a", "batch_size": 2}
BATCHES: list[dict[str, list[Any]]] = [
    {"text": ['그는 "아니", 했다\n', ""], "n": [1, None], "names": [["a", "나"], []]},
    {"text": ["\ttab\r\n", "x"], "n": [2, 3.5], "names": [[], ["b"]]},
    {"text": ["end"], "n": [4], "names": [None]},
]
KINDS = [".csv", ".jsonl", ".parquet"]


def write(path: Path, batches: list[dict[str, list[Any]]] = BATCHES) -> Path:
    with TableWriter(path, settings=SETTINGS) as writer:
        num_before = 0
        for batch in batches:
            num_before += len(batch["text"])
            if num_before > writer.num_rows:
                writer.append(batch)
        return writer.finish()


def begin(path: Path, batches: list[dict[str, list[Any]]]) -> None:
    """Append rows and leave."""
    with TableWriter(path, settings=SETTINGS) as writer:
        for batch in batches:
            writer.append(batch)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_again(tmp_path: Path, kind: str) -> None:
    table = read_table(write(tmp_path / f"a{kind}"), key="--file")
    rows = [
        dict(zip(batch, row, strict=True))
        for batch in BATCHES
        for row in zip(*batch.values(), strict=True)
    ]
    assert table.names == ("text", "n", "names")
    assert list(table.columns["text"]) == [row["text"] for row in rows]
    if kind == ".csv":
        assert table.columns["n"] == ["1", "", "2", "3.5", "4"]
        assert table.columns["names"] == ['["a", "나"]', "[]", "[]", '["b"]', ""]
    else:
        assert list(table.columns["n"]) == [row["n"] for row in rows]
        assert list(table.columns["names"]) == [row["names"] for row in rows]
    assert [file.name for file in tmp_path.iterdir()] == [f"a{kind}"]


def test_csv_is_rfc_4180(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [{"text": ['say "a", b', "c"], "n": [True, float("nan")]}])
    assert path.read_bytes() == b'text,n\r\n"say ""a"", b",True\r\nc,\r\n'
    frame = pd.read_csv(write(tmp_path / "b.csv"), dtype=str, keep_default_na=False)
    assert frame["text"].tolist() == ['그는 "아니", 했다\n', "", "\ttab\r\n", "x", "end"]


def test_jsonl_holds_what_json_can(tmp_path: Path) -> None:
    values = [float("nan"), [1.0, float("inf")], datetime.date(2024, 5, 6), Decimal("1.50"), "가"]
    path = write(tmp_path / "a.jsonl", [{"text": values}])
    lines = [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]
    assert lines == [None, [1.0, None], "2024-05-06", "1.50", "가"]
    assert "가" in path.read_text("utf-8"), "written as it is, not escaped"


class Killed(BaseException):
    """What nobody catches."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_appended", [0, 1, 2])
@pytest.mark.parametrize("is_noted", [True, False])
def test_a_killed_writer_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, num_appended: int, is_noted: bool
) -> None:
    whole = write(tmp_path / f"whole{kind}").read_bytes()
    path = tmp_path / f"a{kind}"

    def die(*_: Any) -> None:
        raise Killed

    begin(path, BATCHES[:num_appended])
    if not is_noted:  # the rows are on the disk, the state does not count them
        monkeypatch.setattr(TableWriter, "_note", die)
        with pytest.raises(Killed):
            begin(path, BATCHES[num_appended : num_appended + 1])
        monkeypatch.undo()
    assert not path.exists()
    with TableWriter(path, settings=SETTINGS) as writer:
        assert writer.num_rows == sum(len(batch["text"]) for batch in BATCHES[:num_appended])
    assert write(path).read_bytes() == whole


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_a_stopped_machine_lost_are_written_anew(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    begin(path, BATCHES[:1])
    for file in (tmp_path / f".a{kind}.partial").iterdir():
        if file.name != "state.json":
            file.write_bytes(b"")
    with TableWriter(path, settings=SETTINGS) as writer:
        assert writer.num_rows == 0
    assert len(read_table(write(path), key="--file")) == 5


def test_what_was_begun_with_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    begin(path, BATCHES[:1])
    message = r"\.a\.csv\.partial: .*same settings\. Received: batch_size=3 \(before: 2\)\."
    with (
        pytest.raises(ValueError, match=message),
        TableWriter(path, settings={**SETTINGS, "batch_size": 3}),
    ):
        pass
    with TableWriter(path, settings={}, resume=False) as writer:
        assert writer.num_rows == 0


def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with (
        TableWriter(path, settings={}),
        pytest.raises(ValueError, match="one process at a time"),
        TableWriter(path, settings={}),
    ):
        pass
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_what_a_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.xlsx: --output must end in one of \.csv"):
        TableWriter(tmp_path / "a.xlsx", settings={})
    with TableWriter(tmp_path / "a.parquet", settings={}) as writer:
        with pytest.raises(ValueError, match=r"one type\. Received: column 'x'.*\.jsonl"):
            writer.append({"x": [1, "a"]})
        writer.append({"x": [1]})
        writer.append({"x": [None]})
        with pytest.raises(ValueError, match=r"one type\. Received: .*int64 vs string"):
            writer.append({"x": ["a"]})
        with pytest.raises(ValueError, match=r"same columns\. Received: y, after rows with x"):
            writer.append({"y": [1]})
        assert pyarrow.parquet.read_table(writer.finish()).to_pydict() == {"x": [1, None]}
    with (
        TableWriter(tmp_path / "b.csv", settings={}) as writer,
        pytest.raises(ValueError, match="at least one row"),
    ):
        writer.finish()
