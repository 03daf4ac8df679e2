"""`bert-tf inspect`: records as people want to see them, or labelled data before training.

In a terminal segments and masks have colours; elsewhere the same text is plain.
"""

import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bert_tf.cli.inspect_labelled import inspect_labelled
from bert_tf.cli.stage import config_option, load_config_or_exit, shown_progress, task_option
from bert_tf.system.output_folder import owned_folder

if TYPE_CHECKING:
    from rich.text import Text

    from bert_tf.data.inspection.examples import InspectedExample
    from bert_tf.data.records import Split

_SEGMENT_STYLES = {"A": "cyan", "B": "green"}
_KIND_STYLES = {
    "control": "dim",
    "masked": "bold yellow",
    "random": "bold red",
    "kept": "bold magenta",
}


_OF_RECORDS = ("split", "num", "seed", "count_sentences")
_OF_LABELLED = ("held_out", "task", "tokenizer", "config_path")


@click.command()
@click.option("--records", type=click.Path(), help="What `bert-tf prepare` wrote.")
@click.option(
    "--labelled", multiple=True, metavar="TABLE", help="A file, glob or hub name; many times."
)
@click.option("--split", default="train", show_default=True, type=click.Choice(["train", "eval"]))
@click.option("--num", default=5, show_default=True, type=click.IntRange(min=1), help="Examples.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0, max=2**31 - 1),
    help="Of masks, and of the examples drawn from `train`.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Change the masking of records, or any value for labelled data.",
)
@click.option("--report", type=click.Path(), help="Write a page with pictures into this folder.")
@click.option(
    "--sentences/--no-sentences",
    "count_sentences",
    default=True,
    help="Whether the report counts them, in the corpus the records were made of.",
)
@click.option("--held-out", multiple=True, metavar="TABLE", help="Beside --labelled, likewise.")
@task_option
@click.option(
    "--tokenizer", type=click.Path(), help="A folder with a vocabulary. Default: the model's."
)
@config_option
@click.pass_context
def inspect(
    context: click.Context,
    /,
    records: str | None,
    labelled: tuple[str, ...],
    report: str | None,
    overrides: tuple[str, ...],
    **options: Any,
) -> None:
    """Show prepared examples, or report on a records folder or on labelled data.

    With --records: a token that is to be predicted has the original in parentheses: [MASK](cat),
    dog(cat) where a random token stands for it, cat(cat) where it was kept.

    With --labelled: how often each target is there, lengths and what will be cut, texts that occur
    twice or with different targets, and held-out ones that are in the training data, too.
    """
    if (records is None) == (not labelled):
        raise click.UsageError("Give one of --records and --labelled.")
    _refuse(context, _OF_RECORDS if labelled else _OF_LABELLED)
    if labelled:
        given = {name: options[name] for name in ("held_out", "task", "tokenizer")}
        config = load_config_or_exit(options["config_path"], overrides)
        inspect_labelled(config, labelled, report=report, **given)
        return
    given = {name: options[name] for name in _OF_RECORDS}
    _inspect_records(str(records), report=report, overrides=overrides, **given)


def _refuse(context: click.Context, names: tuple[str, ...]) -> None:
    """Options of the other kind of data."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in names and source is not ParameterSource.DEFAULT:
            other = "--records" if names is _OF_RECORDS else "--labelled"
            raise click.UsageError(f"{parameter.opts[0]} is for {other}.")


def _inspect_records(
    records: str,
    *,
    split: "Split",
    num: int,
    seed: int,
    overrides: tuple[str, ...],
    report: str | None,
    count_sentences: bool,
) -> None:
    if report is not None:
        _write_report(records, report, count_sentences=count_sentences)
        return
    from bert_tf.data.inspection.examples import read_examples

    examples = read_examples(records, split=split, num=num, seed=seed, overrides=overrides)
    for number, example in enumerate(examples, start=1):
        heading = f"{split} example {number} of {len(examples)}, "
        if sys.stdout.isatty():
            from rich.console import Console

            Console().print(make_text(example, heading=heading), "")
        else:
            click.echo(f"{heading}{example}\n")


def make_text(example: "InspectedExample", *, heading: str = "") -> "Text":
    """The example for a terminal: segments and masks in colours."""
    from rich.text import Text

    text = Text(heading + example.headline, style="bold")
    text = Text.assemble(text)
    for name, pieces in example.segments():
        style = _SEGMENT_STYLES.get(name, "")
        text.append(f"\n{name} ", style=f"reverse {style}")
        for piece in pieces:
            text.append(" " if piece.opens_word else "")
            text.append(piece.text, style=_KIND_STYLES.get(piece.kind, style))
            if piece.original is not None:
                text.append(f"({piece.original})", style=f"underline {style}")
    return text


def _write_report(records: str, output_dir: str, *, count_sentences: bool) -> None:
    from bert_tf.data.inspection.report import report_records

    with owned_folder(output_dir, command="inspect") as folder, shown_progress() as show:
        path = report_records(records, folder, count_sentences=count_sentences, on_progress=show)
    click.echo(path.read_text(encoding="utf-8"), nl=False)
    click.echo(f"\nWritten to {path}", err=True)
