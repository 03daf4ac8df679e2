import numpy as np
import pytest

from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.table import Table

KEY = "finetuning.text_field"


def make(name: str, numbers: list[int], **columns: list[object]) -> Table:
    return Table(columns, Origins.of(Source(name, has_lines=True), numbers))


def test_rows_know_where_they_stand_after_joining_and_taking() -> None:
    one = make("a.csv", [2, 5], text=["x", "y"])
    two = make("b.csv", [9], text=["z"])
    memory = Table.from_columns({"text": np.array(["m", "n"])})
    table = Table.concatenate([one, two, Table.concatenate([memory, one])]).take([6, 2, 3, 1])
    assert table.columns["text"] == ["y", "z", "m", "y"]
    assert [table.where(row) for row in range(4)] == ["a.csv:5", "b.csv:9", "row 1", "a.csv:5"]
    assert len(table) == 4


def test_origins_take_at_most_twelve_bytes_a_row() -> None:
    many = Origins.concatenate(
        [Origins.of(Source(name, has_lines=True), range(500)) for name in ("a", "b")]
    )
    assert many.source_ids is not None
    assert many.numbers.nbytes + many.source_ids.nbytes == 12 * 1_000
    assert Origins.of(Source("a", has_lines=True), range(500)).source_ids is None


def test_columns_must_fit() -> None:
    with pytest.raises(ValueError, match=r"same length\. Received: a \(1\), b \(2\)"):
        Table.from_columns({"a": [1], "b": [1, 2]})
    with pytest.raises(ValueError, match="Received: no column"):
        Table.from_columns({})
    with pytest.raises(ValueError, match=r"b: .*same columns\. Received: y; at a: x"):
        Table.concatenate([make("a", [1], x=[1]), make("b", [1], y=[1])])
    with pytest.raises(ValueError, match="Received: none"):
        Table.concatenate([])


def test_a_dotted_name_walks_into_objects() -> None:
    table = make(
        "a.jsonl",
        [3, 4, 6],
        **{
            "labels": [{"label": 1, "real-label": 4.2}, [{"label": 0}], None],
            "a.b": [{"c": 1}] * 3,
        },
    )
    assert table.column("labels.label", key=KEY) == [1, 0, None]
    assert table.column("a.b.c", key=KEY) == [1, 1, 1]
    with pytest.raises(ValueError, match=r"a\.jsonl:4: 'labels\.real-label' must lead.*'label'"):
        table.column("labels.real-label", key=KEY)
    with pytest.raises(ValueError, match=r"a\.jsonl:3: 'a\.b\.c\.d' must lead .*Received: 1\."):
        table.column("a.b.c.d", key=KEY)


def test_a_missing_column_is_named_with_the_nearest_and_the_setting() -> None:
    table = make("a.csv", [2], sentence=["x"], label=["1"])
    message = (
        r"a\.csv: there must be a column 'sentense'\. Received: columns 'sentence', 'label'\. "
        r"The nearest name is 'sentence'\. Set finetuning\.text_field to one of them\."
    )
    with pytest.raises(ValueError, match=message):
        table.column("sentense", key=KEY)


def test_of_many_columns_a_message_tells_the_first_and_what_is_another() -> None:
    names = [f"column {number}" for number in range(3000)]
    tables = ({name: [1] for name in of} for of in (names, [*names[1:], "x"]))
    wide, other = map(Table.from_columns, tables)
    with pytest.raises(ValueError, match=r"'column 19' and 2,980 more. Set key") as missing:
        wide.column("text", key="key")
    with pytest.raises(
        ValueError, match=r"Received: x, .* and 2,990 more; .* column 0, "
    ) as unlike:
        Table.concatenate([wide, other])
    assert max(len(str(raised.value)) for raised in (missing, unlike)) < 800
