"""Batches of rows in, a file each; these in, one .parquet file out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.system.files import appearing

ROW_GROUP_ROWS = 8192


class ParquetParts:
    """The parts of `output`, which stand in `folder`; `num_parts` of them are there already."""

    def __init__(self, folder: Path, output: Path, *, num_parts: int = 0) -> None:
        self.num_parts = num_parts
        self._folder = folder
        self._output = output
        self._schema: Any = None
        """Of all parts so far."""

    def are_whole(self) -> bool:
        """Whether every part is there and can be read."""
        import pyarrow
        import pyarrow.parquet

        try:
            schemas = [pyarrow.parquet.read_schema(file) for file in self._files()]
        except (pyarrow.ArrowException, OSError):
            return False
        self._schema = self._unified(schemas) if schemas else None
        return True

    def append(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write rows as the next part.

        Raises:
            ValueError: a column holds values of several types, in these rows or with those before.
        """
        import pyarrow
        import pyarrow.parquet

        arrays = {}
        for name, values in columns.items():
            try:
                arrays[name] = _as_arrow(values)
            except (pyarrow.ArrowException, OverflowError) as error:
                raise self._several_types(f"column {name!r}: {error}") from error
        table = pyarrow.table(arrays)
        schemas = [table.schema] if self._schema is None else [self._schema, table.schema]
        self._schema = self._unified(schemas)
        with appearing(self._file(self.num_parts)) as temporary:
            try:
                pyarrow.parquet.write_table(table, temporary)
            except pyarrow.ArrowException as error:
                raise self._several_types(str(error)) from error
        self.num_parts += 1

    def join(self) -> None:
        """Write all rows as the output, whole or not at all; a row group is held at a time."""
        import pyarrow
        import pyarrow.parquet

        # As the files have it: in memory, a list's items have another name.
        schema = self._unified(map(pyarrow.parquet.read_schema, self._files()))
        with (
            appearing(self._output) as temporary,
            pyarrow.parquet.ParquetWriter(temporary, schema) as writer,
        ):
            held: list[Any] = []
            for file in self._files():
                held.append(pyarrow.parquet.read_table(file).cast(schema))
                if sum(table.num_rows for table in held) >= ROW_GROUP_ROWS:
                    writer.write_table(pyarrow.concat_tables(held))
                    held = []
            if held:
                writer.write_table(pyarrow.concat_tables(held))

    def _files(self) -> list[Path]:
        return [self._file(number) for number in range(self.num_parts)]

    def _file(self, number: int) -> Path:
        return self._folder / f"part-{number:08}.parquet"

    def _unified(self, schemas: Any) -> Any:
        import pyarrow

        try:
            return pyarrow.unify_schemas(list(schemas), promote_options="permissive")
        except pyarrow.ArrowException as error:
            raise self._several_types(str(error)) from error

    def _several_types(self, received: str) -> ValueError:
        return ValueError(
            f"{self._output}: a column of .parquet must hold values of one type. Received: "
            f"{received}. Write to .jsonl, which takes any."
        )


def _as_arrow(values: Any) -> Any:
    """A column: of an array (rows, width) lists of that width, of its own type."""
    import pyarrow

    if getattr(values, "ndim", 1) == 2:
        flat = pyarrow.array(values.reshape(-1))
        return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pyarrow.array(values)
