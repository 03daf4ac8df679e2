"""The runs of a benchmark, one after the other in this process or several on a Ray cluster.

Each is an ordinary fine-tuning in a folder of its own: one that is finished is passed over, one
that was interrupted goes on from its newest checkpoint.
"""

import contextlib
import gc
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_tf.benchmark_tables.plan import RUNS_FOLDER, Run
from bert_tf.config import Config, validate_config
from bert_tf.system.ray_cluster import LOCAL, connected, import_ray
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.tracking.reporting import METRICS_FILE

STOP_FILE = ".stop"
"""In the output folder while runs on Ray are asked to stop."""
POLL_SECONDS = 0.5
MAX_RETRIES = 3
"""Of a run whose worker or node is lost; it goes on from its newest checkpoint."""


@dataclass(frozen=True)
class Work:
    """What is done with all runs alike."""

    output_dir: Path
    tracking_uri: str | None
    show: Callable[..., None] = lambda *_: None
    """Takes stage, examples done, examples in all, what is said beside."""
    is_stop_requested: Callable[[], bool] = lambda: False

    def folder(self, name: str) -> Path:
        """Of a run, or of its further part."""
        return self.output_dir / RUNS_FOLDER / name

    def is_finished(self, run: Run) -> bool:
        """Whether a run has been trained and measured on all parts."""
        return all((self.folder(name) / METRICS_FILE).is_file() for name in run.parts.values())

    def metrics(self, run: Run) -> dict[str, dict[str, float]]:
        """By part, of a finished run."""
        return {
            part: json.loads((self.folder(name) / METRICS_FILE).read_text("utf-8"))
            for part, name in run.parts.items()
        }


class Advance:
    """Shows how far all runs are, in examples, by which the time left is told."""

    def __init__(self, runs: Sequence[Run], work: Work) -> None:
        self._work, self._total = work, round(sum(run.num_examples for run in runs))
        self._num_runs = len(runs)
        self._done, self._num_done = 0.0, 0
        for run in runs:
            if work.is_finished(run):
                self.finish(run)

    def finish(self, run: Run) -> None:
        """A run is over."""
        self._done += run.num_examples
        self._num_done += 1
        self.show(f"{self._num_done} of {self._num_runs} runs, {run.name} done")

    def show(self, detail: str, *, of_run: float = 0.0) -> None:
        """What is going on; `of_run`: examples of the run that is at work."""
        self._work.show("benchmark", round(self._done + of_run), self._total, detail)

    def within(self, run: Run) -> Callable[[Any], None]:
        """What a run calls with its progress."""
        number = f"run {self._num_done + 1} of {self._num_runs}, {run.name}"

        def show(progress: Any) -> None:
            share = progress.step / max(progress.num_steps, 1)
            self.show(f"{number}: step {progress.step:,}", of_run=share * run.num_examples)

        return show


def run_here(runs: Sequence[Run], work: Work) -> None:
    """One after the other.

    Raises:
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
        ValueError: see `finetune`.
    """
    advance = Advance(runs, work)
    for run in runs:
        if work.is_finished(run):
            continue
        if work.is_stop_requested():
            raise TrainingInterruptedError(f"Stopped before {run.name}.")
        run_one(
            run,
            work.output_dir,
            tracking_uri=work.tracking_uri,
            on_progress=advance.within(run),
            is_stop_requested=work.is_stop_requested,
        )
        gc.collect()  # a model and its compiled functions hold one another
        advance.finish(run)


def run_one(run: Run, output_dir: Path, *, tracking_uri: str | None, **options: Any) -> None:
    """Train a run and measure it on all parts, whatever of that is still to be done."""
    from bert_tf.training.stages.evaluation import evaluate_model
    from bert_tf.training.stages.finetuning import finetune

    folder = output_dir / RUNS_FOLDER
    if not (folder / run.name / METRICS_FILE).is_file():
        finetune(run.config, folder / run.name, tracking_uri=tracking_uri, **options)
    for part, path in run.beside.items():
        place = folder / run.parts[part]
        if not (place / METRICS_FILE).is_file():
            evaluate_model(
                _evaluating(run.config, model=str(folder / run.name), data=path),
                place,
                tracking_uri=tracking_uri,
            )


def _evaluating(config: Config, *, model: str, data: str) -> Config:
    section = config.evaluation.model_copy(update={"model": model, "data": data})
    return config.model_copy(update={"evaluation": section})


def run_on_ray(
    runs: Sequence[Run], work: Work, *, address: str = LOCAL, num_workers: int | None = None
) -> None:
    """Several at a time, each in a worker of its own: one a GPU of the cluster, or one a node.

    All nodes need the package and must see model, data and output folder under the same paths.

    Raises:
        ImportError: Ray is not installed.
        TrainingInterruptedError, ValueError: as of `run_here`.
        RuntimeError: a run's worker was lost `MAX_RETRIES` times.
    """
    ray = import_ray()
    advance = Advance(runs, work)
    waiting = [run for run in runs if not work.is_finished(run)]
    stop = work.output_dir.absolute() / STOP_FILE
    stop.unlink(missing_ok=True)
    num_cpus = max(num_workers or 1, len(os.sched_getaffinity(0)))
    with connected(ray, address=address, num_cpus=num_cpus), contextlib.ExitStack() as stack:
        stack.callback(stop.unlink, missing_ok=True)
        num_gpus = int(ray.cluster_resources().get("GPU", 0))
        limit = num_workers or num_gpus or sum(node["Alive"] for node in ray.nodes())
        # A process a run: what TensorFlow holds of one ends with it.
        remote = ray.remote(
            num_cpus=1, num_gpus=1 if num_gpus else 0, max_calls=1, max_retries=MAX_RETRIES
        )(_run_on_worker)
        running: dict[Any, Run] = {}
        stopped: TrainingInterruptedError | None = None
        while running or (waiting and not stopped):
            while waiting and len(running) < limit and not stop.exists():
                run = waiting.pop(0)
                running[
                    remote.remote(_told(run), str(work.output_dir.absolute()), work.tracking_uri)
                ] = run
            if work.is_stop_requested() and not stop.exists():
                stop.touch()
                stopped = TrainingInterruptedError("The runs on the cluster were stopped.")
            done, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            for task in done:
                run = running.pop(task)
                if _result(ray, task):
                    advance.finish(run)
    if stopped:
        raise stopped


def _told(run: Run) -> dict[str, Any]:
    """A run as a worker is given it: what is not set stays so, such as the model's architecture."""
    return {**vars(run), "config": run.config.model_dump(mode="json", exclude_unset=True)}


def _run_on_worker(told: dict[str, Any], output_dir: str, tracking_uri: str | None) -> bool:
    """Whether the run is finished; False where it was stopped. Runs on a worker."""
    from bert_tf.system.environment import library_environment

    os.environ.update(library_environment())
    run = Run(**{**told, "config": validate_config(told["config"])})
    try:
        run_one(
            run,
            Path(output_dir),
            tracking_uri=tracking_uri,
            is_stop_requested=Path(output_dir, STOP_FILE).exists,
        )
    except TrainingInterruptedError:
        return False
    return True


def _result(ray: Any, task: Any) -> bool:
    try:
        is_finished: bool = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise RuntimeError(
            "a Ray worker must live until its run is over. Received: "
            f"{type(error).__name__} {MAX_RETRIES + 1} times, most often for want of memory. Run "
            "the same command again, it goes on with the runs that are not finished."
        ) from error
    return is_finished
