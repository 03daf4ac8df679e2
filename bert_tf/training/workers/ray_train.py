"""Trains on a Ray cluster: Ray Train starts the workers and gives each its TF_CONFIG.

Every worker calls the function of the stage, as a process with that TF_CONFIG would. All nodes need
the package and must see the output folder, the records and the data under the same paths.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bert_tf.config import Config, validate_config
from bert_tf.system.environment import library_environment
from bert_tf.system.files import write_whole
from bert_tf.system.ray_cluster import LOCAL, connected, import_ray
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.tracking.reporting import METRICS_FILE
from bert_tf.training.engine.loop import Progress
from bert_tf.training.stages.by_name import Stage, stage_function
from bert_tf.training.workers.agreement import LostWorkerError
from bert_tf.training.workers.tf_config import parse_tf_config

RAY_FOLDER = "ray"
"""In the output folder: what workers log, Ray Train's own files, and the next two."""
STOP_FILE = "stop"
"""There while a run is asked to stop; the chief leaves in it what came of that."""
PROGRESS_FILE = "progress.json"
"""What the chief has to show, for the process that started the run."""
POLL_SECONDS = 0.5


def train_on_ray(
    stage: Stage,
    config: Config,
    output_dir: str | Path,
    *,
    num_workers: int | None = None,
    address: str = LOCAL,
    tracking_uri: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Run a stage on several workers; its metrics, as the chief wrote them.

    Each worker has a GPU where the cluster has any; without, they are spread over the nodes, and
    each uses the cores that are there. What they log is in `OUTPUT_DIR/ray/worker-*.log`.

    Args:
        num_workers: default: one a GPU, or one a node.
        address: of a cluster, see `ray_cluster.connected`; `local` starts one for this call.
        tracking_uri: as of the stage; seen from the chief's node.

    Raises:
        ImportError: Ray is not installed.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
        ValueError: the cluster has less than the workers need.
        LostWorkerError, ValueError, …: as the stage on a worker.
    """
    ray = import_ray()
    output_dir = Path(output_dir).absolute()
    folder = output_dir / RAY_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    stop_file, progress_file = folder / STOP_FILE, folder / PROGRESS_FILE
    for left_over in (stop_file, progress_file):
        left_over.unlink(missing_ok=True)
    settings = {
        "stage": stage,
        "config": config.model_dump(mode="json"),
        "output_dir": str(output_dir),
        "tracking_uri": tracking_uri,
        "working_dir": str(Path.cwd()),
    }
    num_cpus = max(num_workers or 1, len(os.sched_getaffinity(0)))
    try:
        with (
            connected(ray, address=address, num_cpus=num_cpus),
            _watched(folder, on_progress=on_progress, is_stop_requested=is_stop_requested),
        ):
            _fit(ray, settings, num_workers=num_workers)
        if stop_file.is_file() and (message := stop_file.read_text("utf-8")):
            raise TrainingInterruptedError(message)
    finally:
        for used in (stop_file, progress_file):
            used.unlink(missing_ok=True)
    metrics: dict[str, float] = json.loads((output_dir / METRICS_FILE).read_text("utf-8"))
    return metrics


def _fit(ray: Any, settings: dict[str, Any], *, num_workers: int | None) -> None:
    from ray.train import RunConfig, TrainingFailedError
    from ray.train.tensorflow import TensorflowTrainer

    trainer = TensorflowTrainer(
        _run_worker,
        train_loop_config=settings,
        scaling_config=_scaling(ray, num_workers),
        run_config=RunConfig(
            name=RAY_FOLDER,
            storage_path=settings["output_dir"],
            # TensorFlow is imported there before anything of ours is called.
            worker_runtime_env={"env_vars": library_environment()},
        ),
    )
    result: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def fit() -> None:
        try:
            result.set_result(trainer.fit())
        except BaseException as error:
            result.set_exception(error)

    # Not in the main thread: there Ray takes Ctrl+C for itself, and no checkpoint is written.
    threading.Thread(target=fit, daemon=True).start()
    try:
        result.result()
    except TrainingFailedError as error:
        raise _cause(error) from error


def _scaling(ray: Any, num_workers: int | None) -> Any:
    """What Ray is to reserve; it waits without a word for what a cluster does not have."""
    from ray.train import ScalingConfig

    resources = ray.cluster_resources()
    num_gpus, num_cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if num_workers is None:
        num_workers = num_gpus or sum(node["Alive"] for node in ray.nodes())
    if num_workers > (num_gpus or num_cpus):
        kind = f"{num_gpus} GPUs" if num_gpus else f"{num_cpus} CPU cores and no GPU"
        raise ValueError(
            "Every worker must have a GPU of its own, or a CPU core in a cluster without GPUs. "
            f"Received: {num_workers} workers, a cluster of {kind}. Ask for fewer workers."
        )
    return ScalingConfig(
        num_workers=num_workers,
        use_gpu=num_gpus > 0,
        resources_per_worker={"CPU": 1} | ({"GPU": 1} if num_gpus else {}),
        placement_strategy="PACK" if num_gpus else "SPREAD",
    )


def _cause(error: Exception) -> Exception:
    """What went wrong on a worker: that another was lost is a consequence."""
    failures = list(getattr(error, "worker_failures", {}).values())
    causes = [getattr(failure, "_base_exc", failure) for failure in failures]
    causes.sort(key=lambda cause: isinstance(cause, LostWorkerError))
    cause = causes[0] if causes else error
    if isinstance(cause, ValueError | OSError | FloatingPointError | RuntimeError | ImportError):
        return cause
    return LostWorkerError(
        "All workers must stay until the run is over. Received: "
        f"{type(cause).__name__}: {str(cause).splitlines()[0][:200]} Start the same command again: "
        "the run goes on from its newest checkpoint."
    )


def _run_worker(settings: dict[str, Any]) -> None:
    """Runs on a worker, with TF_CONFIG set."""
    os.chdir(settings["working_dir"])  # Ray Train has gone elsewhere; paths may be relative
    worker = parse_tf_config(os.environ.get("TF_CONFIG"))
    folder = Path(settings["output_dir"]) / RAY_FOLDER
    logging.basicConfig(format="%(message)s", filename=folder / f"worker-{worker.number}.log")
    logging.getLogger("bert_tf").setLevel(logging.INFO)

    def show(progress: Progress) -> None:
        if worker.is_chief:
            write_whole(folder / PROGRESS_FILE, json.dumps(dataclasses.asdict(progress)))

    try:
        stage_function(settings["stage"])(
            validate_config(settings["config"]),
            settings["output_dir"],
            tracking_uri=settings["tracking_uri"],
            on_progress=show,
            is_stop_requested=(folder / STOP_FILE).exists,
            worker=worker,
        )
    except TrainingInterruptedError as interruption:
        if worker.is_chief:
            write_whole(folder / STOP_FILE, str(interruption))


@contextlib.contextmanager
def _watched(
    folder: Path,
    *,
    on_progress: Callable[[Progress], None],
    is_stop_requested: Callable[[], bool],
) -> Iterator[None]:
    """While workers run, a request to stop becomes the file that they look for, and the chief's
    progress is shown here."""
    is_over = threading.Event()
    shown = ""

    def look() -> None:
        nonlocal shown
        if is_stop_requested():
            (folder / STOP_FILE).touch()
        path = folder / PROGRESS_FILE
        text = path.read_text("utf-8") if path.is_file() else ""
        if text != shown:
            shown = text
            on_progress(Progress(**json.loads(text)))

    def watch() -> None:
        while not is_over.wait(POLL_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        look()
