"""`bert-tf predict`: texts, a file's lines or a table's rows in, a SavedModel's answers out."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from bert_tf.cli.stage import shown_progress
from bert_tf.cli.table_options import given, table_config, table_options


@click.command()
@click.option("--model", required=True, type=click.Path(), help="SavedModel, or BASE/NAME.")
@click.option(
    "--file",
    "source",
    type=click.Path(),
    help="A text a line, UTF-8; or a table: .csv, .tsv, .jsonl, .json, .parquet, .conll (.gz, "
    ".zst), a glob of these in quotes, or hub:NAME.",
)
@click.option("--signature", default="serving_default", show_default=True)
@click.option("--output", type=click.Path(), help="Of a table: .csv, .jsonl or .parquet.")
@click.option("--text-field", help="Column of the texts. Default: as the model was trained.")
@click.option("--text-pair-field", help="Column of the second texts. Default: likewise.")
@table_options
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(1))
@click.argument("texts", nargs=-1)
def predict(
    model: str,
    source: str | None,
    signature: str,
    output: str | None,
    text_field: str | None,
    text_pair_field: str | None,
    batch_size: int,
    texts: tuple[str, ...],
    **table_settings: Any,
) -> None:
    """Answer TEXTS (or a file's lines, or standard input's): one JSON object a line.

    A tab separates the two texts of a pair, or a text and its choices.

    Of a table every row is answered, all of its columns
    stand before the answers; with --output they are written there, and the same command goes on
    where it was killed.
    """
    if texts and source:
        raise click.UsageError("Give texts or --file, not both.")
    settings = given(table_settings)
    is_table = source is not None and _is_table(source)
    if not is_table and (output or text_field or text_pair_field or settings):
        raise click.UsageError(
            "--output, --text-field, --text-pair-field, --encoding, --quoting and --header need "
            "--file with a table (.csv, .tsv, .jsonl, .json, .parquet, .conll)."
        )
    fields = {
        "text_field": text_field,
        "text_pair_field": text_pair_field,
        "signature_name": signature,
        "batch_size": batch_size,
    }
    if not is_table:
        lines = list(texts) or _read_lines(source)
        _answer_lines(model, lines, signature=signature, batch_size=batch_size)
    elif output is None:
        _show_table(model, source, settings, fields)
    else:
        _write_table(model, source, output, settings, fields)


def _is_table(source: str) -> bool:
    from bert_tf.data.corpora.hub import PREFIX
    from bert_tf.data.tables.finding import table_kind

    return source.startswith(PREFIX) or table_kind(source) is not None


def _answer_lines(model: str, lines: list[str], *, signature: str, batch_size: int) -> None:
    from bert_tf.exporting.predict import predict_lines

    answers = predict_lines(model, lines, signature_name=signature, batch_size=batch_size)
    for answer in answers:
        click.echo(json.dumps(answer, ensure_ascii=False))


def _show_table(
    model: str, source: str | None, settings: dict[str, Any], fields: dict[str, Any]
) -> None:
    from bert_tf.data.tables.writing import json_lines
    from bert_tf.exporting.predict_table import TablePredictor

    config = table_config(settings)
    for columns in TablePredictor(model, **fields).answer(source, config=config):
        for line in json_lines(columns):
            click.echo(line)


def _write_table(
    model: str,
    source: str | None,
    output: str,
    settings: dict[str, Any],
    fields: dict[str, Any],
) -> None:
    from bert_tf.exporting.predict_table import predict_table

    config = table_config(settings)
    with shown_progress() as show:
        path = predict_table(model, source, output, config=config, on_progress=show, **fields)
    click.echo(str(path))


def _read_lines(path: str | None) -> list[str]:
    """The lines of a file, or of standard input."""
    from bert_tf.data.corpora.lines import decode_lines

    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(Path(path).open("rb")) if path else sys.stdin.buffer
        name = path or "standard input"
        chunks = decode_lines(stream.read, name, encoding_errors="error", section=None)
        return [text.rstrip("\r") for chunk in chunks for text in chunk.texts]
