"""A .parquet file in, its rows out, some at a time."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from bert_tf.data.corpora.files import COMPRESSIONS, damage_named, open_bytes
from bert_tf.data.corpora.rows import PARQUET_BUFFER_BYTES
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.table import Table
from bert_tf.system.listing import listed


def read_parquet(path: Path, *, batch_rows: int) -> Iterator[Table]:
    """At most `batch_rows` rows at a time; a packed file is unpacked to a temporary one first.

    Raises:
        ValueError: the file is damaged, two columns have one name, or a text is no UTF-8.
    """
    import pyarrow
    import pyarrow.parquet

    source = Source(str(path), has_lines=False)
    number = 1
    with _seekable(path) as stream:
        try:
            # Without its threads and with a buffer, Arrow's memory stays flat.
            file = pyarrow.parquet.ParquetFile(
                stream, pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES
            )
            names = file.schema_arrow.names
            _check_names(path, names)
            for batch in file.iter_batches(batch_rows, use_threads=False):
                if batch.num_rows:
                    columns = {
                        name: _values(path, batch.column(place), name=name, number=number)
                        for place, name in enumerate(names)
                    }
                    numbers = range(number, number + batch.num_rows)
                    yield Table(columns, Origins.of(source, numbers))
                    number += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{path}: a .parquet file must be whole. Received: {error}. Write the file again."
            ) from error


def _check_names(path: Path, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{path}: every column needs a name of its own. Received: "
            f"{listed(map(repr, repeated))} more than once. Rename the columns."
        )


def _values(path: Path, column: Any, *, name: str, number: int) -> list[Any]:
    try:
        return cast("list[Any]", column.to_pylist())
    except UnicodeDecodeError as error:
        for row, value in enumerate(column):
            try:
                value.as_py()
            except UnicodeDecodeError:
                number += row
                break
        raise ValueError(
            f"{path}:row {number}: text must be UTF-8. Received: {error.reason} in column "
            f"{name!r}. Write the file again."
        ) from error


@contextlib.contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    if path.suffix.lower() not in COMPRESSIONS:
        with path.open("rb") as stream:
            yield stream
        return
    with tempfile.TemporaryFile() as unpacked:
        with open_bytes(path) as packed, damage_named(path):
            shutil.copyfileobj(packed, unpacked)
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)
