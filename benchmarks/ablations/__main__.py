"""What do the claims of the source notes look like as figures?

    python -m benchmarks.ablations --output-dir runs/ablations [--only heads,positions]
        [--seeds 1,2,3] [--quick]

The data folder is `learning_records`' and holds `multi30k/{train,val}.{en,de}.gz`, too. Less than
two hours on 2 cores alone; every row is kept when it is finished, and the same command goes on
with the others. Writes `results.json`, `results.md` and a picture a table. Two variants of one seed
begin with the same weights as far as they share them, and see the same batches.

Times are worth something on a machine that does nothing else: `load_before` says what it did.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.ablations.charts import draw_charts
from benchmarks.ablations.experiments import EXPERIMENTS
from benchmarks.ablations.report import write_results
from benchmarks.ablations.rows import read_metrics, rows_of, run_row


def main(argv: list[str] | None = None) -> None:
    """Measure what is missing, then write tables and pictures."""
    arguments = _parse(argv)
    folder = Path(arguments.output_dir)
    experiments = [EXPERIMENTS[name] for name in arguments.only]
    options = {"seeds": arguments.seeds, "is_quick": arguments.quick}
    rows = rows_of(experiments, **options)
    missing = [row for row in rows if read_metrics(row, folder) is None]
    print(f"{len(rows)} rows, {len(rows) - len(missing)} of them finished", flush=True)
    command = " ".join(
        ["python -m benchmarks.ablations", *(sys.argv[1:] if argv is None else argv)]
    )
    started_at, done, total = time.perf_counter(), 0.0, sum(row.weight for row in missing)
    for number, row in enumerate(missing, start=1):
        run_row(row, data=Path(arguments.data), folder=folder)
        write_results(experiments, folder=folder, command=command, **options)
        done += row.weight
        passed = time.perf_counter() - started_at
        left = passed * (total - done) / done / 60
        print(
            f"{number} of {len(missing)}, {passed / 60:.1f} min: {row.name}; "
            f"about {left:.0f} min left",
            flush=True,
        )
    write_results(experiments, folder=folder, command=command, **options)
    draw_charts(experiments, folder=folder, **options)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="../shared/data/en")
    parser.add_argument("--output-dir", required=True)
    parser.add_argument("--only", type=_names, default=list(EXPERIMENTS), help="NAME,…")
    parser.add_argument("--seeds", type=_numbers, default=[1, 2, 3], help="N,…")
    parser.add_argument("--quick", action="store_true", help="a few steps: tries the code alone")
    return parser.parse_args(argv)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(EXPERIMENTS))
    if unknown:
        raise argparse.ArgumentTypeError(
            f"experiments must be of {', '.join(EXPERIMENTS)}. Received: {', '.join(unknown)}"
        )
    return names


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
