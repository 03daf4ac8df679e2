"""Rows in; `results.json` and the tables of `results.md` out: means and spread over the seeds."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ablations.experiment import Column, Experiment, Part
from benchmarks.ablations.rows import read_metrics, rows_of_part
from bert_tf.system.files import write_whole

Found = dict[str, list[dict[str, Any]]]
"""Variant -> its finished rows, seed by seed."""


def write_results(
    experiments: Sequence[Experiment],
    *,
    seeds: Sequence[int],
    is_quick: bool,
    folder: Path,
    command: str,
) -> None:
    """Both files, of what is finished so far."""
    found = [
        (experiment, part, finished_rows(experiment, part, seeds, is_quick, folder))
        for experiment in experiments
        for part in experiment.parts
    ]
    rows = [row for *_, of_part in found for rows in of_part.values() for row in rows]
    if not rows:
        return
    head = {
        "command": command,
        "is_quick": is_quick,
        "seeds": list(seeds),
        "machine": sorted({row["machine"] for row in rows}),
        "dates": sorted({row["finished_at"][:10] for row in rows}),
    }
    tables = [
        {
            "experiment": experiment.name,
            "claim": experiment.claim,
            "sources": experiment.sources,
            "title": part.title,
            "rows": {
                variant: {"metrics": summary(of_variant), "measured": of_variant}
                for variant, of_variant in of_part.items()
                if of_variant
            },
        }
        for experiment, part, of_part in found
    ]
    content = json.dumps({**head, "tables": tables}, indent=1, ensure_ascii=False)
    write_whole(folder / "results.json", content.encode())
    write_whole(folder / "results.md", _page(head, found).encode())


def finished_rows(
    experiment: Experiment, part: Part, seeds: Sequence[int], is_quick: bool, folder: Path
) -> Found:
    """Of each variant of a part."""
    found: Found = {variant: [] for variant in part.variants}
    for variant in part.variants:
        only = Part(**{**vars(part), "variants": {variant: part.variants[variant]}})
        for row in rows_of_part(experiment, only, seeds=seeds, is_quick=is_quick):
            if (measured := read_metrics(row, folder)) is not None:
                found[variant].append(measured)
    return found


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Of each metric the mean over the rows and, of several, the standard deviation."""
    names = [name for name in rows[0]["metrics"] if all(name in row["metrics"] for row in rows)]
    return {name: _mean_and_spread([row["metrics"][name] for row in rows]) for name in names}


def differences(
    rows: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]], metric: str
) -> dict[str, float | None] | None:
    """Mean and spread of what a variant has more than the reference with the same seed."""
    of_seed = {row["seed"]: row["metrics"][metric] for row in reference}
    pairs = [row for row in rows if row["seed"] in of_seed]
    if not pairs:
        return None
    return _mean_and_spread([row["metrics"][metric] - of_seed[row["seed"]] for row in pairs])


def _mean_and_spread(values: Sequence[float]) -> dict[str, float | None]:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "spread": spread}


def _page(head: Mapping[str, Any], found: Sequence[tuple[Experiment, Part, Found]]) -> str:
    lines = ["# The claims of the notes, measured", ""]
    if head["is_quick"]:
        lines += ["Of a trial with `--quick`: no figure means anything.", ""]
    lines += [
        f"`{head['command']}`, {', '.join(head['machine'])}, {', '.join(head['dates'])}. Means "
        "and standard deviations over seeds.",
        "",
    ]
    before = None
    for experiment, part, rows in found:
        if experiment is not before:
            lines += [f"## {experiment.name}", "", experiment.claim, f"({experiment.sources})", ""]
            before = experiment
        lines += [f"### {part.title}", ""]
        if any(rows.values()):
            lines += [*table_lines(part, rows), "", _budget(part, rows), ""]
        else:
            lines += ["Not measured yet.", ""]
    return "\n".join(lines)


def _budget(part: Part, found: Found) -> str:
    """What was spent: the settings that no variant changes, the time, the work beside it."""
    rows = [row for of_variant in found.values() for row in of_variant]
    shared = [
        f"{name} {value}"
        for name, value in rows[0]["settings"].items()
        if all(row["settings"][name] == value for row in rows)
    ]
    minutes = sum(row["seconds"] for row in rows) / 60
    load = max(row["load_before"] for row in rows)
    return (
        f"{', '.join(shared) or 'No setting is shared'}. {len(rows)} rows, {minutes:.1f} minutes; "
        f"the machine's load before a row at most {load:.1f}."
    )


def table_lines(part: Part, found: Found) -> list[str]:
    """The Markdown table of the variants that have rows."""
    main = part.columns[0]
    headings = ["", *(column.heading for column in part.columns)]
    if part.reference is not None:
        of = part.reference if isinstance(part.reference, str) else "its own"
        headings.insert(2, f"difference from {of}")
    if part.is_seeded:
        headings.append("seeds")
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for variant, rows in found.items():
        if rows:
            means = summary(rows)
            cells = [variant, *(_cell(column, means.get(column.metric)) for column in part.columns)]
            if part.reference is not None:
                reference = part.reference_of(variant)
                other = differences(rows, found[reference], main.metric) if reference else None
                cells.insert(2, _cell(main, other, sign="+") if reference else "")
            if part.is_seeded:
                cells.append(str(len(rows)))
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cell(column: Column, value: Mapping[str, float | None] | None, *, sign: str = "") -> str:
    """Mean ± spread, where there are both and the spread is seen."""
    if value is None:
        return "–"
    form = column.form.replace(":", ":" + sign, 1)
    mean, spread = form.format(value["mean"]), value["spread"]
    return f"{mean} ± {column.form.format(spread)}" if spread else mean
