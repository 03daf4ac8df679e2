"""`bert-tf benchmark`: a model and a folder with a benchmark's files in, the papers' table out.

    find sets -> read and check all of them -> plan runs -> run what is not finished -> results

OUTPUT_DIR: `results.md`, `results.json`, `results.png`; `runs/NAME/`, each an ordinary fine-tuning;
`data/` with what was converted or split; `benchmark.json`, what each run was begun with.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.benchmark_tables.data import SetData, prepare_data
from bert_tf.benchmark_tables.finding import TRAIN, FoundSet, find_sets
from bert_tf.benchmark_tables.glue import GLUE
from bert_tf.benchmark_tables.klue import KLUE
from bert_tf.benchmark_tables.plan import (
    RUNS_FOLDER,
    Options,
    Run,
    check_options,
    plan_runs,
    set_config,
)
from bert_tf.benchmark_tables.results import Results, collect_results
from bert_tf.benchmark_tables.running import Work, run_here
from bert_tf.benchmark_tables.sets import Benchmark
from bert_tf.benchmark_tables.table import draw_results, results_markdown
from bert_tf.config import CONFIG_FILE, Config, write_config
from bert_tf.models.description import load_description, weights_sha256
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json
from bert_tf.system.lookalikes import path_hint
from bert_tf.system.output_folder import check_folder, owned_folder
from bert_tf.system.pictures import try_to_draw
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.tracking.tracker import Tracker

BENCHMARKS = {benchmark.name: benchmark for benchmark in (GLUE, KLUE)}
NOTE_FILE = "benchmark.json"
RESULTS, TABLE_FILE, PICTURE_FILE = "results.json", "results.md", "results.png"
_RUN_ID_SECONDS = 30.0


def run_benchmark(
    name: str,
    options: Options,
    *,
    data: str | Path,
    output_dir: str | Path,
    config: Config | None = None,
    sets: Sequence[str] | None = None,
    run: Callable[[Sequence[Run], Work], None] = run_here,
    tracking_uri: str | None = None,
    show: Callable[..., None] = lambda *_: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> Results:
    """Fine-tune a model on each set for each seed and write the table; what `results.json` has.

    Args:
        name: `glue` or `klue`.
        config: settings for all sets, over their recipes; those of `finetuning` that are set.
        sets: see `find_sets`.
        run: `run_here`, or `run_on_ray` with its cluster.

    Raises:
        FileNotFoundError: there is no model, or the sets are not there.
        ValueError: an option or a file is wrong, or `output_dir` is another's; nothing was trained.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
    """
    benchmark, config = _benchmark(name), config or Config()
    check_folder(output_dir, command="benchmark")
    check_options(options, benchmark)
    model = _model(options.model)
    found = find_sets(benchmark, data, names=sets)
    configs = {it.spec.name: _checked_config(it, config, options) for it in found}
    with owned_folder(output_dir, command="benchmark") as output:
        prepared = [prepare_data(it, configs[it.spec.name], output / "data") for it in found]
        runs = [it for own in prepared for it in _runs(own, configs, options)]
        _bind(output, runs, prepared, model=model, benchmark=benchmark)
        write_config(config, output)
        work = Work(output, tracking_uri, show, is_stop_requested)
        with Tracker.open(
            output, config=config.tracking, tracking_uri=tracking_uri, stage="benchmark"
        ) as tracker:
            tracker.log_parameters(_told(benchmark, options, found))
            runs = _below(tracker, runs, is_enabled=config.tracking.enabled)
            _run_or_stop(run, runs, work, tracker)
            results = collect_results(benchmark, prepared, runs, work, model=model)
            _write(results, output, tracker)
    return results


def _run_or_stop(
    run: Callable[[Sequence[Run], Work], None], runs: Sequence[Run], work: Work, tracker: Tracker
) -> None:
    """A stop is no failure in MLflow."""
    try:
        run(runs, work)
    except TrainingInterruptedError:
        tracker.close("KILLED")
        raise


def _benchmark(name: str) -> Benchmark:
    if name not in BENCHMARKS:
        raise ValueError(
            f"A benchmark must be one of {', '.join(BENCHMARKS)}. Received: {name!r}. Name one of "
            "these."
        )
    return BENCHMARKS[name]


def _model(folder: str) -> dict[str, str]:
    """Its name and its weights' digest."""
    path = Path(folder)
    if not path.is_dir():
        received = "a file" if path.exists() else "no such folder"
        raise FileNotFoundError(
            f"{path}: --model must be a model folder, as `bert-tf pretrain` and `bert-tf convert` "
            f"write it. Received: {received}. Give an existing one.{path_hint(path)}"
        )
    load_description(path)
    return {"name": path.resolve().name, "weights_sha256": weights_sha256(path)}


def _checked_config(found: FoundSet, config: Config, options: Options) -> Config:
    """Of a set. Raises ValueError if the model does not take texts as long as the recipe's."""
    own = set_config(found, config, options)
    length = own.finetuning.max_seq_length
    most = load_description(options.model).architecture.max_position_embeddings
    if length > most:
        raise ValueError(
            f"{found.spec.name}: max_seq_length must be at most the model's {most} positions. "
            f"Received: {length}, of the recipe or the settings. Set {found.spec.name}."
            f"max_seq_length={most}, or a smaller one."
        )
    return own


def _runs(data: SetData, configs: Mapping[str, Config], options: Options) -> list[Run]:
    return plan_runs(
        data.found,
        configs[data.found.spec.name],
        options,
        paths=data.paths,
        num_train=data.num_examples[TRAIN],
    )


def _bind(
    output: Path,
    runs: Sequence[Run],
    prepared: Sequence[SetData],
    *,
    model: Mapping[str, str],
    benchmark: Benchmark,
) -> None:
    """Note what each run is begun with.

    Raises:
        ValueError: a run that is there, or the folder, was begun with something else.
    """
    path = output / NOTE_FILE
    before = read_json(path, what="a note of a benchmark's runs") if path.is_file() else {}
    if before.get("benchmark", benchmark.name) != benchmark.name:
        raise ValueError(
            f"{output}: a folder holds the runs of one benchmark. Received: {benchmark.name}, into "
            f"one with {before['benchmark']}. Give another --output-dir."
        )
    files = {data.found.spec.name: data.sha256() for data in prepared}
    digests = {run.name: _digest(run, files[run.set_name], model) for run in runs}
    known = dict(before.get("runs", {}))
    for name, digest in digests.items():
        is_there = (output / RUNS_FOLDER / name).is_dir()
        if is_there and known.get(name, digest) != digest:
            raise ValueError(
                f"{output / RUNS_FOLDER / name}: a run must go on with the model, data and "
                "settings that it was begun with. Received: others. Give another --output-dir, or "
                "remove the folders of that run."
            )
    note = {"benchmark": benchmark.name, "runs": known | digests}
    write_whole(path, json.dumps(note, indent=2) + "\n")


def _digest(run: Run, files: Mapping[str, str], model: Mapping[str, str]) -> str:
    section = run.config.finetuning.model_dump(
        mode="json", exclude={"train_path", "eval_path", "pretrained"}
    )
    content = [run.seed, section, dict(files), model["weights_sha256"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _below(tracker: Tracker, runs: Sequence[Run], *, is_enabled: bool) -> list[Run]:
    """The runs as MLflow shows them: below the benchmark's, if the server has it by then."""
    end = time.monotonic() + _RUN_ID_SECONDS
    while is_enabled and tracker.run_id is None and time.monotonic() < end:
        time.sleep(0.05)
    changed = []
    for run in runs:
        tracking = run.config.tracking.model_copy(
            update={"parent_run_id": tracker.run_id, "run_name": run.name}
        )
        config = run.config.model_copy(update={"tracking": tracking})
        changed.append(dataclasses.replace(run, config=config))
    return changed


def _told(benchmark: Benchmark, options: Options, found: Sequence[FoundSet]) -> dict[str, Any]:
    return {
        "benchmark": benchmark.name,
        "model": options.model,
        "sets": ",".join(it.spec.name for it in found),
        "seeds": ",".join(map(str, options.seeds)),
    }


def _write(results: Results, output: Path, tracker: Tracker) -> None:
    write_whole(output / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    write_whole(output / TABLE_FILE, results_markdown(results))
    is_drawn = try_to_draw(draw_results, results, output / PICTURE_FILE)
    values: dict[str, float] = {}
    for name, of_set in results["sets"].items():
        for key, score in of_set["scores"].items():
            for kind, ending in (("mean", ""), ("std", "_std")):
                if score[kind] is not None:
                    values[f"{name}/{key}{ending}"] = score[kind]
    tracker.log_metrics(values, step=0, replaces=True)
    for file in (CONFIG_FILE, RESULTS, TABLE_FILE, *([PICTURE_FILE] if is_drawn else [])):
        tracker.log_artifact(output / file)
