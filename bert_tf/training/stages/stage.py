"""Runs one training: a `Stage` describes what is trained, and what all stages share is done here.

settings bound -> run reported -> model made -> trained -> stage's own end -> model folder
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import tensorflow as tf

from bert_tf.config import Config, TrainingConfig
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.models.objective import Objective
from bert_tf.system.output_folder import owned_folder
from bert_tf.system.version import __version__
from bert_tf.tasks.models import build_model
from bert_tf.tracking.provenance import HELD_OUT_ROLE, DataInput
from bert_tf.tracking.reporting import METRICS_FILE, RunLog, logged_metrics, report_run
from bert_tf.training.engine.checkpoints import newest_step, oldest_step
from bert_tf.training.engine.evaluation_pass import Predict, Rate
from bert_tf.training.engine.loop import Phase, Progress, Run, train
from bert_tf.training.engine.settings import bind_settings
from bert_tf.training.engine.strategy import check_batch_size, dtype_policy
from bert_tf.training.measuring.profiled_steps import ProfiledSteps
from bert_tf.training.measuring.profiler import open_profiler
from bert_tf.training.workers.agreement import (
    check_same_settings,
    lost_workers_named,
    wait_for_all,
)
from bert_tf.training.workers.tf_config import ALONE, Worker

Metrics = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a stage makes of a training that has come to its end."""

    metrics: dict[str, float]
    """`metrics.json`."""
    description: ModelDescription
    files: Iterable[str] = ()
    """What was written into the output folder beside."""


class Begin(Protocol):
    """Writes what is known before the first step; names of the files."""

    def __call__(self, output_dir: Path) -> Iterable[str]: ...


class End(Protocol):
    """Metrics of the training -> what becomes of it; only the chief is asked."""

    def __call__(self, metrics: dict[str, float], output_dir: Path) -> Ended: ...


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One kind of training: its model, objective, data and settings."""

    name: str
    """`pretrain` or `finetune`."""
    config: Config
    """Resolved: as the run uses it."""
    training: TrainingConfig
    description: ModelDescription
    tokenizer: Tokenizer
    pretrained: str | None
    """The folder of the model that it starts from, for its provenance."""
    load_weights: Callable[[keras.Model], None]
    """Sets those that the training starts from; others stay random."""
    objective: Objective
    phases: tuple[Phase, ...]
    settings: Mapping[str, Any]
    """What a resumed run must share."""
    implied_settings: Mapping[str, Any]
    """Settings that a run without them had, see `bind_settings`."""
    shared: Mapping[str, Any]
    """What all workers must have beside `settings`: the stage's section without paths."""
    inputs: Sequence[DataInput]
    """Its provenance names them. A resumed run must share the held-out ones: metrics of two sets
    would stand in one run."""
    begin: Begin = lambda output_dir: ()
    end: End
    rate: Rate | None = None
    predict: Predict | None = None
    head_flops: float = 0.0
    faults_named: Sequence[contextlib.AbstractContextManager[Any]] = ()
    """Around the run: what turns errors of reading into messages."""


def owning_its_folder(train: Callable[..., Metrics]) -> Callable[..., Metrics]:
    """The function of a stage, `train(config, output_dir, …)`, within `owned_folder`.

    Of several workers only the chief owns it.
    """

    @functools.wraps(train)
    def owning(
        config: Config, output_dir: str | Path, *, worker: Worker = ALONE, **options: Any
    ) -> Metrics:
        with (
            owned_folder(output_dir, command=train.__name__)
            if worker.is_chief
            else contextlib.nullcontext()
        ):
            return train(config, output_dir, worker=worker, **options)

    return owning


def run_stage(
    stage: Stage,
    output_dir: Path,
    *,
    strategy: tf.distribute.Strategy,
    tracking_uri: str | None,
    on_progress: Callable[[Progress], None],
    is_stop_requested: Callable[[], bool],
    worker: Worker = ALONE,
    profile: ProfiledSteps | None,
) -> dict[str, float]:
    """Train and write the model folder; the metrics. Of several workers only the chief writes."""
    for phase in stage.phases:
        if not phase.is_filled_up:
            check_batch_size(phase.batch_size, phase.accumulation_steps, strategy)
    first_step = newest_step(output_dir)
    num_steps = sum(phase.num_steps for phase in stage.phases)
    profiler = open_profiler(
        profile if worker.is_chief else None,
        output_dir,
        first_step=first_step,
        num_steps=num_steps,
    )
    begins_with = _bind(
        stage, output_dir, is_resumed=first_step > 0, strategy=strategy, worker=worker
    )
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(
            report_run(
                stage.config,
                output_dir,
                stage=stage.name,
                tracking_uri=tracking_uri,
                is_writer=worker.is_chief,
                begins_with=begins_with,
                from_step=oldest_step(output_dir),
            )
        )
        for named in (*stage.faults_named, lost_workers_named(worker)):
            stack.enter_context(named)
        if worker.is_chief and first_step < num_steps:
            _withdraw(output_dir)
        _begin(stage, log, output_dir, worker=worker)
        model = _make_model(stage, strategy)
        metrics = train(
            Run(
                model=model,
                objective=stage.objective,
                strategy=strategy,
                config=stage.training,
                phases=stage.phases,
                seed=stage.config.seed,
                output_dir=output_dir,
                worker=worker,
                log_metrics=log.log_metrics,
                logged=functools.partial(logged_metrics, output_dir),
                on_progress=on_progress,
                is_stop_requested=is_stop_requested,
                profiler=profiler,
                rate=stage.rate,
                predict=stage.predict,
                head_flops=stage.head_flops,
            )
        )
        if worker.is_chief:
            ended = stage.end(metrics, output_dir)
            metrics = ended.metrics
            stage.tokenizer.save(output_dir)  # the very one that it was trained with
            save_model(model, ended.description, output_dir, tied_files=stage.tokenizer.files)
            log.log_files(*ended.files, "model.json")
            if metrics or not (output_dir / METRICS_FILE).is_file():
                log.finish(metrics)
    wait_for_all(strategy, worker)
    return metrics


def _bind(
    stage: Stage,
    output_dir: Path,
    *,
    is_resumed: bool,
    strategy: tf.distribute.Strategy,
    worker: Worker,
) -> str | None:
    """Compare what all workers, and a resumed run, must share; nothing is written before.

    A digest of the settings where the training begins at its first step.
    """
    held_out = {
        "eval_data_sha256": [data.sha256 for data in stage.inputs if data.role == HELD_OUT_ROLE]
    }
    precision = {"precision": dtype_policy(stage.training.precision)}
    settings = {**stage.settings, **held_out, **precision}
    shared = {**settings, **stage.shared, "version": __version__}
    check_same_settings(shared, strategy, worker)
    # Older runs noted no held-out data: theirs is taken to be the same.
    implied = {**stage.implied_settings, **held_out}
    bind_settings(output_dir, settings, implied=implied, is_writer=worker.is_chief)
    content = json.dumps(settings, sort_keys=True, default=str)
    return None if is_resumed else hashlib.sha256(content.encode()).hexdigest()


def _withdraw(output_dir: Path) -> None:
    """A model of fewer steps is none until the longer run ends: the settings beside it are new."""
    for name in (DESCRIPTION_FILE, METRICS_FILE):
        (output_dir / name).unlink(missing_ok=True)


def _make_model(stage: Stage, strategy: tf.distribute.Strategy) -> keras.Model:
    keras.utils.set_random_seed(stage.config.seed)
    with strategy.scope():
        model = build_model(
            stage.description,
            dtype=dtype_policy(stage.training.precision),
            rematerialize=stage.training.rematerialize,
        )
        stage.load_weights(model)
    return model


def _begin(stage: Stage, log: RunLog, output_dir: Path, *, worker: Worker) -> None:
    files: Iterable[str] = ()
    if worker.is_chief:
        stage.tokenizer.save(output_dir)
        files = stage.begin(output_dir)
    log.log_files(*stage.tokenizer.files, *files)
    log.log_provenance(
        stage=stage.name,
        inputs=stage.inputs,
        vocabulary_sha256=stage.tokenizer.vocabulary_sha256,
        parent=stage.pretrained,
    )
