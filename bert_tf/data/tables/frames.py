"""What a program holds in memory in, tables out: a pandas DataFrame, a `datasets.Dataset`."""

import sys
from collections.abc import Iterator
from typing import Any

from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.table import Table
from bert_tf.system.listing import listed

PLAIN = (str, int, float, bool, type(None), list, dict)
IN_MEMORY = Source("", has_lines=False)


def is_frame(value: Any) -> bool:
    """Whether it is a DataFrame; pandas is not imported for the question."""
    return _is_a(value, "pandas", "DataFrame")


def is_dataset(value: Any) -> bool:
    """Whether it is a `datasets.Dataset`, streaming or not."""
    return _is_a(value, "datasets", "Dataset") or _is_a(value, "datasets", "IterableDataset")


def read_frame(frame: Any, *, batch_rows: int) -> Iterator[Table]:
    """The rows of a DataFrame; its index is left out, pandas' NA and NaT are None, NaN stays.

    Raises:
        ValueError: two columns have one name.
    """
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            "Every column of a DataFrame needs a name of its own. Received: "
            f"{listed(map(repr, repeated))} more than once. Rename the columns."
        )
    for start in range(0, len(frame), batch_rows):
        rows = frame.iloc[start : start + batch_rows]
        columns = {
            name: [_plain(value) for value in rows.iloc[:, place].tolist()]
            for place, name in enumerate(names)
        }
        yield Table(columns, Origins.of(IN_MEMORY, range(start + 1, start + len(rows) + 1)))


def read_dataset(dataset: Any, *, batch_rows: int) -> Iterator[Table]:
    """The rows of a `datasets.Dataset`."""
    number = 1
    for batch in dataset.iter(batch_rows):
        columns = {name: [_plain(value) for value in values] for name, values in batch.items()}
        num_rows = len(next(iter(columns.values())))
        yield Table(columns, Origins.of(IN_MEMORY, range(number, number + num_rows)))
        number += num_rows


def _is_a(value: Any, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def _plain(value: Any) -> Any:
    """A value without NumPy's and pandas' own types."""
    if isinstance(value, PLAIN) and not _is_a(value, "numpy", "generic"):
        return value
    if _is_a(value, "numpy", "ndarray") or _is_a(value, "numpy", "generic"):
        return value.tolist()
    pandas = sys.modules.get("pandas")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    return value
