"""A report on labelled examples in, the page that people read out, as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bert_tf.metrics.tables import markdown_table
from bert_tf.system.listing import listed, shortened
from bert_tf.tasks.examples import NO_LABEL
from bert_tf.tasks.inspection.counts import MAX_TARGETS, Target, pooled
from bert_tf.tasks.inspection.report import LabelledReport, Part, Shown

TARGETS_PICTURE, LENGTHS_PICTURE = "labelled_targets.png", "labelled_lengths.png"
PERCENTILES = (50, 95, 99)


def to_markdown(report: LabelledReport, *, pictures: Sequence[str] = ()) -> str:
    """The page, with those of the pictures that are named."""
    sections = [
        "# Labelled data",
        _introduction(report),
        markdown_table(list(_overview(report))),
        *_findings(report),
        "## Targets",
        *_picture("How often each target is there", TARGETS_PICTURE, pictures),
        markdown_table(list(_target_rows(report))),
        "## Lengths",
        *_picture("Lengths of the texts", LENGTHS_PICTURE, pictures),
        markdown_table(
            [
                {"": f"{which}, {part.name}", **_row(shown, report.unit)}
                for part in report.parts
                for which, examples in (("shortest", part.shortest), ("longest", part.longest))
                for shown in examples
            ]
        ),
    ]
    if report.notes:
        sections += ["## Noticed while reading", _notes(report.notes)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduction(report: LabelledReport) -> str:
    if report.unit == "tokens":
        lengths = (
            "Lengths are in tokens, [CLS] and [SEP] counted; a model reads "
            f"{report.max_seq_length} (`finetuning.max_seq_length`, `max_windows`)."
        )
    else:
        lengths = (
            "Lengths are in characters, since no tokenizer is given: what will be cut and what is "
            "[UNK] is not known. `--tokenizer`, `finetuning.pretrained` or `tokenizer.vocabulary` "
            "gives one."
        )
    return f"Read for the task `{report.task}`. {lengths}"


def _overview(report: LabelledReport) -> Iterator[dict[str, Any]]:
    """Rows of the first table: a name, and a value a part."""

    def row(name: str, values: Sequence[str]) -> dict[str, Any]:
        return {"": name} | {part.name: value for part, value in zip(parts, values, strict=True)}

    parts = report.parts
    yield row("examples", [f"{part.num_examples:,}" for part in parts])
    numbers = [part.numbers for part in parts if part.numbers is not None]
    if numbers:
        yield row("targets, least / median / greatest", [*map(_extent, numbers)])
        yield row("targets, mean (standard deviation)", [*map(_mean, numbers)])
    else:
        balances = [_balance(report.targets, place) for place in range(len(parts))]
        yield row("most frequent to rarest target", balances)
    percentiles = ", ".join(f"{percentile} %" for percentile in PERCENTILES)
    yield row(f"{report.unit}: {percentiles}, longest", [_percentiles(part) for part in parts])
    if report.unit == "tokens":
        yield row("will be cut", [_of(part.num_cut, part.num_examples) for part in parts])
        yield row("[UNK] among tokens", [_of(part.num_unknown, part.num_tokens) for part in parts])
    yield row("without text", [_of(part.num_empty, part.num_examples) for part in parts])
    repeated = [_of(part.num_duplicates, part.num_examples) for part in parts]
    yield row("with the text of an earlier example", repeated)
    yield row("texts with different targets", [f"{part.num_conflicts:,}" for part in parts])
    if len(parts) > 1:
        leaks = _of(report.num_leaks, parts[1].num_examples)
        yield row("in the training data, too", ["", leaks])


def _findings(report: LabelledReport) -> Iterator[str]:
    """Headings, sentences and tables of what is wrong; nothing of what is not."""
    unseen = report.unseen_targets
    if unseen:
        yield "## Targets that no training example has"
        yield f"A model cannot learn them: {listed(unseen, max_items=MAX_TARGETS)}."
    for part in report.parts:
        if part.conflicts:
            yield f"## Same text, different targets: {part.name}"
            yield _first(len(part.conflicts), part.num_conflicts)
            yield markdown_table(
                [
                    {
                        "first at": pair.first.where,
                        "target": pair.first.target,
                        "again at": pair.second.where,
                        "other target": pair.second.target,
                        "text": _code(pair.first.text),
                    }
                    for pair in part.conflicts
                ]
            )
    if report.leaks:
        yield "## Held-out examples in the training data"
        yield (
            "Metrics on them say nothing of unseen text. Take them out of one of the two. "
            + _first(len(report.leaks), report.num_leaks)
        )
        yield markdown_table(
            [
                {
                    "held out": pair.second.where,
                    "target": pair.second.target,
                    "in training": pair.first.where,
                    "target there": pair.first.target,
                    "text": _code(pair.second.text),
                }
                for pair in report.leaks
            ]
        )
    for part in report.parts:
        if part.empty:
            yield f"## Without text: {part.name}"
            yield _first(len(part.empty), part.num_empty)
            yield markdown_table(
                [{"place": shown.where, "target": shown.target} for shown in part.empty]
            )


def _target_rows(report: LabelledReport) -> Iterator[dict[str, Any]]:
    for number, target in enumerate(_shown_targets(report), start=1):
        row: dict[str, Any] = {} if report.has_numbers else {"no.": number}
        row["target"] = shortened(target.name)
        for part, count in zip(report.parts, target.counts, strict=True):
            row[part.name] = count
            row[f"share of {part.name}"] = f"{count / part.num_examples:.2%}"
        yield row


def _shown_targets(report: LabelledReport) -> Sequence[Target]:
    return report.targets if report.has_numbers else pooled(report.targets)


def _notes(notes: Sequence[str]) -> str:
    lines = [f"- {' '.join(note.split())}" for note in notes]
    return listed(lines, max_items=MAX_TARGETS, max_characters=1000, separator="\n")


def _picture(title: str, name: str, pictures: Sequence[str]) -> list[str]:
    return [f"![{title}]({name})"] if name in pictures else []


def _row(shown: Shown, unit: str) -> dict[str, Any]:
    return {
        unit: shown.length,
        "place": shown.where,
        "target": shown.target,
        "text": _code(shown.text),
    }


def _code(text: str) -> str:
    """Text as Markdown leaves it alone: between more backticks than it has in a row."""
    runs = [len(run) for run in "".join(c if c == "`" else " " for c in text).split()]
    fence = "`" * (max(runs, default=0) + 1)
    return f"{fence} {text} {fence}" if runs else f"{fence}{text}{fence}"


def _first(num_shown: int, num: int) -> str:
    return f"The first {num_shown} of {num:,}." if num > num_shown else f"All {num:,}."


def _of(num: int | None, total: int | None) -> str:
    return f"{num or 0:,} ({(num or 0) / max(1, total or 0):.2%})"


def _balance(targets: Sequence[Target], place: int) -> str:
    present = [of for of in targets if of.counts[place] and of.name != NO_LABEL]
    if len(present) < 2:
        return "no two targets"
    most = max(present, key=lambda target: target.counts[place])
    least = min(reversed(present), key=lambda target: target.counts[place])
    ratio = most.counts[place] / least.counts[place]
    ends = (f"{shortened(of.name)}: {of.counts[place]:,}" for of in (most, least))
    return f"{ratio:.1f} to 1 ({', '.join(ends)})"


def _percentiles(part: Part) -> str:
    values = np.percentile(part.lengths, PERCENTILES)
    return ", ".join(f"{value:,.0f}" for value in [*values, part.lengths.max()])


def _extent(numbers: np.ndarray) -> str:
    return " / ".join(f"{value:g}" for value in (numbers.min(), np.median(numbers), numbers.max()))


def _mean(numbers: np.ndarray) -> str:
    return f"{numbers.mean():.4g} ({numbers.std():.4g})"
