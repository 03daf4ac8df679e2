"""A table in, the same rows with the answers of an exported SavedModel out, some at a time."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.config import TRAINING_CONFIG_FILE, TableConfig, read_columns
from bert_tf.data.corpora.hub import PREFIX
from bert_tf.data.tables.reading import iter_tables, named_files
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.writing import TableWriter, output_kind
from bert_tf.exporting.predict import TextSignature
from bert_tf.exporting.signatures import DEFAULT
from bert_tf.exporting.version_folders import SAVED_MODEL_FILE
from bert_tf.tasks.examples import TEXT, TextFields, read_inputs

logger = logging.getLogger(__name__)

SOURCE_KEY, TEXT_KEY, TEXT_PAIR_KEY = "--file", "--text-field", "--text-pair-field"
CLASH_PREFIX = "predicted_"
ROWS_AT_ONCE = 1024
"""Rows between two writes, in whole batches."""

OnProgress = Callable[[str, int, int | None, str], None]


def predict_table(
    saved_model_dir: str | Path,
    source: Any,
    output: str | Path,
    *,
    text_field: str | None = None,
    text_pair_field: str | None = None,
    config: TableConfig | None = None,
    signature_name: str = DEFAULT,
    batch_size: int = 32,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write all columns of a table with the answers beside them, in the table's order.

    The source, if it is no hub name, is read once before, so that every fault in it is told before
    the model works. The rows written so far outlive a kill: the same call goes on behind them, with
    the batches that it would have had, so the file's bytes are the same. What is no file is begun
    anew.

    Args:
        source, config: see `read_table`.
        output: .csv, .jsonl or .parquet, see `TableWriter`.
        text_field, text_pair_field: columns of the signature's first and second text. Default:
            what the model was trained on, else "text".
        on_progress: hears of the stage (`check`, `predict`), rows done, all rows (None while they
            are counted, and for a hub name, which is not read before) and the rate.

    Raises:
        FileNotFoundError: `saved_model_dir` is no SavedModel, or there is no such source.
        ValueError: no such signature or column, a row without text, a damaged file, pairs where
            the model takes single texts (or reverse), or an output that others write or began.
    """
    output_kind(Path(output), key="--output")
    predictor = TablePredictor(
        saved_model_dir,
        text_field=text_field,
        text_pair_field=text_pair_field,
        signature_name=signature_name,
        batch_size=batch_size,
    )
    return write_answers(
        predictor, source, output, config=config or TableConfig(), on_progress=on_progress
    )


def write_answers(
    predictor: "TablePredictor",
    source: Any,
    output: str | Path,
    *,
    config: TableConfig,
    on_progress: OnProgress | None,
) -> Path:
    """See `predict_table`."""
    files = _files_of(source)
    settings = {
        "model": file_state(predictor.signature.directory / SAVED_MODEL_FILE),
        **predictor.settings,
        "table": config.model_dump(),
        "files": [file_state(file) for file in files],
    }
    is_hub = not files and isinstance(source, str) and source.startswith(PREFIX)
    num_rows = (
        None if is_hub else predictor.count_rows(source, config=config, on_progress=on_progress)
    )
    with TableWriter(output, settings=settings, resume=bool(files)) as writer:
        num_before, began_at = writer.num_rows, time.monotonic()
        if num_before:
            logger.info("%s: going on after %s rows.", output, f"{num_before:,}")
        for columns in predictor.answer(source, config=config, start_row=num_before):
            writer.append(columns)
            if on_progress is not None:
                seconds = max(time.monotonic() - began_at, 1e-9)
                rate = f"{(writer.num_rows - num_before) / seconds:,.1f} rows/s"
                on_progress(predictor.stage, writer.num_rows, num_rows, rate)
        return writer.finish()


class TablePredictor:
    """A SavedModel's signature and the columns that it is asked with. See `predict_table`."""

    rows_at_once = ROWS_AT_ONCE
    stage = "predict"
    """In its progress."""

    def __init__(
        self,
        saved_model_dir: str | Path,
        *,
        text_field: str | None = None,
        text_pair_field: str | None = None,
        signature_name: str = DEFAULT,
        batch_size: int = 32,
    ) -> None:
        self.signature = TextSignature(saved_model_dir, signature_name)
        self.batch_size = batch_size
        extra = self.signature.directory / "assets.extra"
        trained_on = read_columns(extra / TRAINING_CONFIG_FILE)
        wanted, task = self.signature.inputs, self.signature.task
        if not self.signature.takes_texts or (text_pair_field is not None and len(wanted) < 2):
            raise ValueError(
                f"{signature_name} takes {list(wanted)}. Received: columns for text"
                f"{' and text_pair' if text_pair_field is not None else ''}. Give another "
                f"--signature, or no {TEXT_PAIR_KEY}."
            )
        pair_field = text_pair_field or trained_on.get("text_pair_field")
        needs_pair_field = len(wanted) > 1 and (task is None or task.needs_pair_field)
        if needs_pair_field and pair_field is None:
            raise ValueError(
                f"{signature_name} takes {list(wanted)}. Received: no column for {wanted[1]}. "
                f"Set {TEXT_PAIR_KEY} to the column of the second texts."
            )
        self.fields = TextFields(
            text_field or trained_on.get("text_field") or TEXT,
            pair_field if len(wanted) > 1 else None,
            (TEXT_KEY, TEXT_PAIR_KEY),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """JSON values that the answers to a row are a function of, beside the model."""
        return {
            "signature": self.signature.name,
            "batch_size": self.batch_size,
            "fields": self.named_fields,
        }

    @property
    def named_fields(self) -> list[str]:
        """The columns that are named: of the first text, then of the second."""
        fields = (self.fields.text_field, self.fields.text_pair_field)
        return [field for field in fields if field is not None]

    def count_rows(
        self, source: Any, *, config: TableConfig, on_progress: OnProgress | None = None
    ) -> int:
        """The rows of a source, every one of which has its texts."""
        num_rows = 0
        for table in self._tables(source, config=config):
            self._texts(table)
            num_rows += len(table)
            if on_progress is not None:
                on_progress("check", num_rows, None, "")
        return num_rows

    def answer(
        self, source: Any, *, config: TableConfig, start_row: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Columns of a source and of the answers, for some rows at a time from `start_row` on."""
        row = 0
        for table in self._tables(source, config=config):
            row += len(table)
            if row > start_row:
                answers = self._answers(self._texts(table))
                yield {**table.columns, **_without_clashes(answers, table)}

    def _answers(self, texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Columns of the answers to some rows."""
        return self.signature.answer(texts, batch_size=self.batch_size)

    def _tables(self, source: Any, *, config: TableConfig) -> Iterator[Table]:
        num_batches = max(1, self.rows_at_once // self.batch_size)
        return iter_tables(
            source, config=config, key=SOURCE_KEY, batch_rows=num_batches * self.batch_size
        )

    def _texts(self, table: Table) -> Mapping[str, Sequence[str]]:
        task, description = self.signature.task, self.signature.description
        if task is None or description is None:
            return read_inputs(table, self.signature.inputs, self.fields)
        return task.read_inputs(table, description, fields=self.fields)


def _without_clashes(answers: dict[str, Any], table: Table) -> dict[str, Any]:
    """Answers under names that the table has not: its `label` is not the model's."""
    names = {name: CLASH_PREFIX + name if name in table.columns else name for name in answers}
    for name, new in names.items():
        if new in table.columns:
            raise ValueError(
                f"{table.where(0)}: a table must leave the answers a name. Received: columns "
                f"{name!r} and {new!r}. Rename one of them."
            )
    return {names[name]: values for name, values in answers.items()}


def _files_of(source: Any) -> list[Path]:
    """The files that all of a source is in; none where it is in memory, or some of it on a hub."""
    names = source if isinstance(source, list | tuple) else [source]
    if any(isinstance(name, str) and name.startswith(PREFIX) for name in names):
        return []
    return named_files(source, key=SOURCE_KEY)


def file_state(path: Path) -> list[Any]:
    """What tells a file from another, or from itself after a change."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]
