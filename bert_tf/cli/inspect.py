"""`bert-tf inspect`: records as people want to see them, or a report of a whole folder.

In a terminal segments and masks have colours; elsewhere the same text is plain.
"""

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from bert_tf.cli.process import show_errors

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


@click.command()
@click.option("--records", required=True, type=click.Path(), help="What `bert-tf prepare` wrote.")
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
    "--set", "overrides", multiple=True, metavar="MASKING.X=VALUE", help="Change the masking."
)
@click.option("--report", type=click.Path(), help="Write a report of all records into this folder.")
@click.option(
    "--sentences/--no-sentences",
    default=True,
    help="Whether the report counts them, in the corpus the records were made of.",
)
def inspect(
    records: str,
    split: "Split",
    num: int,
    seed: int,
    overrides: tuple[str, ...],
    report: str | None,
    sentences: bool,
) -> None:
    """Show prepared examples, or report on a records folder.

    A token that is to be predicted has the original in parentheses: [MASK](cat), dog(cat) where a
    random token stands for it, cat(cat) where it was kept.
    """
    with show_errors():
        if report is not None:
            _write_report(records, report, count_sentences=sentences)
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
    from bert_tf.cli.progress import ProgressDisplay
    from bert_tf.data.inspection.report import report_records

    with contextlib.ExitStack() as stack:
        display = stack.enter_context(ProgressDisplay(is_terminal=sys.stderr.isatty()))
        path = report_records(
            records, output_dir, count_sentences=count_sentences, on_progress=display.update
        )
    click.echo(path.read_text(encoding="utf-8"), nl=False)
    click.echo(f"\nWritten to {path}", err=True)
