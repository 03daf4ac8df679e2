"""A report on labelled examples in, a folder out: the page, all numbers as JSON, two pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.metrics.data_pictures import (
    draw_target_bars,
    draw_target_histogram,
    draw_text_lengths,
)
from bert_tf.system.files import write_whole
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.inspection.counts import pooled
from bert_tf.tasks.inspection.page import (
    LENGTHS_PICTURE,
    PERCENTILES,
    TARGETS_PICTURE,
    to_markdown,
)
from bert_tf.tasks.inspection.report import LabelledReport, Part, Repeated

PAGE_FILE, JSON_FILE = "labelled.md", "labelled.json"


def write_report(report: LabelledReport, output_dir: str | Path) -> Path:
    """Write `labelled.md`, `labelled.json` and two pictures into a folder; returns the first."""
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    content = json.dumps(to_json(report), ensure_ascii=False, indent=2)
    write_whole(output_dir / JSON_FILE, content + "\n")
    pictures = [name for name, draws in _draw(report, output_dir).items() if draws]
    return write_whole(output_dir / PAGE_FILE, to_markdown(report, pictures=pictures))


def to_json(report: LabelledReport) -> dict[str, Any]:
    """All numbers, every target among them, and the findings that are listed."""
    return {
        "task": report.task,
        "unit": report.unit,
        "max_seq_length": report.max_seq_length,
        **{part.name.replace("-", "_"): _part_numbers(report, part) for part in report.parts},
        "unseen_targets": report.unseen_targets,
        "num_leaks": report.num_leaks,
        "leaks": [_pair(pair) for pair in report.leaks],
        "notes": list(report.notes),
    }


def _draw(report: LabelledReport, folder: Path) -> dict[str, bool]:
    """Which pictures were drawn."""
    title = "How often each target is there"
    numbers = {part.name: part.numbers for part in report.parts if part.numbers is not None}
    if numbers:
        drawn = try_to_draw(
            *(draw_target_histogram, numbers, report.bin_edges, folder / TARGETS_PICTURE),
            title=title,
        )
    else:
        shown = pooled(report.targets)
        drawn = try_to_draw(
            draw_target_bars,
            [target.name for target in shown],
            {
                part.name: [target.counts[place] for target in shown]
                for place, part in enumerate(report.parts)
            },
            folder / TARGETS_PICTURE,
            # As in the page's table.
            numbered=[
                f"no. {number}" if target in report.targets else target.name
                for number, target in enumerate(shown, start=1)
            ],
            title=title,
        )
    cut_at = report.max_seq_length if report.unit == "tokens" else None
    lengths = {part.name: part.lengths for part in report.parts}
    return {
        TARGETS_PICTURE: drawn,
        LENGTHS_PICTURE: try_to_draw(
            draw_text_lengths, lengths, folder / LENGTHS_PICTURE, unit=report.unit, cut_at=cut_at
        ),
    }


def _part_numbers(report: LabelledReport, part: Part) -> dict[str, Any]:
    place = report.parts.index(part)
    return {
        "num_examples": part.num_examples,
        "targets": {target.name: target.counts[place] for target in report.targets},
        "lengths": {
            "median": float(np.median(part.lengths)),
            **{f"p{p}": float(np.percentile(part.lengths, p)) for p in PERCENTILES[1:]},
            "longest": int(part.lengths.max()),
        },
        "num_cut": part.num_cut,
        "num_tokens": part.num_tokens,
        "num_unknown": part.num_unknown,
        "num_empty": part.num_empty,
        "num_duplicates": part.num_duplicates,
        "num_conflicts": part.num_conflicts,
        "conflicts": [_pair(pair) for pair in part.conflicts],
        "empty": [shown._asdict() for shown in part.empty],
        "shortest": [shown._asdict() for shown in part.shortest],
        "longest": [shown._asdict() for shown in part.longest],
    }


def _pair(pair: Repeated) -> list[dict[str, Any]]:
    return [pair.first._asdict(), pair.second._asdict()]
