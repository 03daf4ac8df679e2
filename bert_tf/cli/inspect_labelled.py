"""`bert-tf inspect --labelled`: tables of labelled examples in, a page about them out."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bert_tf.cli.stage import shown_progress, with_task_name
from bert_tf.system.output_folder import check_folder, owned_folder

if TYPE_CHECKING:
    from bert_tf.config import Config
    from bert_tf.data.text.tokenizer import Tokenizer


def inspect_labelled(
    config: "Config",
    labelled: tuple[str, ...],
    *,
    held_out: tuple[str, ...],
    task: str | None,
    tokenizer: str | None,
    report: str | None,
) -> None:
    """Print the page, and write it with its pictures into the folder `report` if there is one."""
    from bert_tf.data.tables.reading import read_table
    from bert_tf.data.text.windows import TextLimits
    from bert_tf.tasks.inspection.files import write_report
    from bert_tf.tasks.inspection.page import to_markdown
    from bert_tf.tasks.inspection.report import inspect_examples
    from bert_tf.tasks.table import open_task

    if report is not None:
        check_folder(report, command="inspect")
    section = with_task_name(config, task).finetuning
    opened = open_task(section)
    with _noted() as notes:
        train, *others = (
            opened.read(read_table(names, config=section.table, key=key), section)
            for names, key in ((labelled, "--labelled"), (held_out, "--held-out"))
            if names
        )
    with shown_progress() as show:
        found = inspect_examples(
            opened,
            train,
            *others,
            max_seq_length=TextLimits(
                section.max_seq_length,
                section.max_windows or opened.default_max_windows,
                section.window_stride,
            ).document_length,
            tokenizer=_load_tokenizer(config, tokenizer),
            notes=notes,
            on_progress=show,
        )
    _print(to_markdown(found))
    if report is not None:
        with owned_folder(report, command="inspect") as folder:
            click.echo(f"Written to {write_report(found, folder)}", err=True)


@contextlib.contextmanager
def _noted() -> Iterator[list[str]]:
    """What is logged while tables are read, such as labels that look equal."""
    notes: list[str] = []

    class _Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append(record.getMessage())

    handler, logger = _Notes(), logging.getLogger("bert_tf.data.tables")
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)


def _load_tokenizer(config: "Config", folder: str | None) -> "Tokenizer | None":
    """The one that is named, or else that of the model that would be trained."""
    from bert_tf.data.text.tokenizer import Tokenizer

    if folder is not None:
        return Tokenizer.load(folder, config.tokenizer)
    if config.finetuning.pretrained is not None:
        return Tokenizer.load(config.finetuning.pretrained)
    vocabulary = config.tokenizer.vocabulary
    return None if vocabulary is None else Tokenizer.load(vocabulary, config.tokenizer)


def _print(page: str) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(page))
    else:
        click.echo(page, nl=False)
