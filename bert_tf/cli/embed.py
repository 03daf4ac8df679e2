"""`bert-tf embed`: a table or a file of texts in, an embedding of each out."""

from pathlib import Path
from typing import Any

import click

from bert_tf.cli.stage import shown_progress
from bert_tf.cli.table_options import table_config, table_options


@click.command()
@click.option("--model", required=True, type=click.Path(), help="SavedModel, or BASE/NAME.")
@click.option(
    "--file",
    "source",
    required=True,
    type=click.Path(),
    help="A table (.csv, .tsv, .jsonl, .json, .parquet, each also .gz or .zst), a glob of these in "
    "quotes, or hub:NAME; or .txt with a text a line.",
)
@click.option(
    "--output", required=True, type=click.Path(), help="A .parquet (or .jsonl, .csv) to write."
)
@click.option("--text-field", help="Column of the texts. Default: as the model was trained.")
@click.option(
    "--as",
    "role",
    type=click.Choice(["text", "query", "passage"]),
    default="text",
    show_default=True,
    help="What is put before the texts: nothing, the model's query_prefix or its passage_prefix.",
)
@click.option("--normalize", is_flag=True, help="To length 1.")
@click.option(
    "--dimensions",
    type=click.IntRange(1),
    help="Keep the first numbers, of length 1. Default: all of them.",
)
@click.option(
    "--numbers",
    type=click.Choice(["float32", "int8", "binary"]),
    default="float32",
    show_default=True,
    help="int8: a byte a number; binary: a bit.",
)
@table_options
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1))
def embed(
    model: str,
    source: str,
    output: str,
    text_field: str | None,
    role: str,
    normalize: bool,
    dimensions: int | None,
    numbers: Any,
    batch_size: int,
    **table_settings: Any,
) -> None:
    """Write an embedding of each text, all columns before it.

    The same command goes on where it was killed.
    """
    from bert_tf.exporting.embed_table import embed_table

    is_lines = Path(source).name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".txt")
    config = table_config(table_settings, **({"layout": "lines"} if is_lines else {}))
    with shown_progress() as show:
        path = embed_table(
            model,
            source,
            output,
            text_field="text" if is_lines else text_field,
            signature_name="embed" if role == "text" else f"embed_{role}",
            normalize=normalize,
            dimensions=dimensions,
            number_type=numbers,
            config=config,
            batch_size=batch_size,
            on_progress=show,
        )
    click.echo(str(path))
