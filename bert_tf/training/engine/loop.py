"""The training loop: batches in, a trained model and its metrics out.

Restore the newest checkpoint; then, phase after phase, step, log, evaluate and checkpoint until the
last step.
"""

import bisect
import contextlib
import functools
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from bert_tf.config import OptimizerConfig, TrainingConfig
from bert_tf.data.batches.ranges import faults_named
from bert_tf.models.objective import Objective
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.training.engine.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from bert_tf.training.engine.dry_step import memory_faults_named, tried_batches
from bert_tf.training.engine.evaluation_pass import Evaluation, Predict, Rate
from bert_tf.training.engine.loss_scale import make_loss_scale
from bert_tf.training.engine.step import TrainStep, make_train_step
from bert_tf.training.engine.window import SkippedSteps, Window
from bert_tf.training.measuring.matrix_rate import matrix_rate
from bert_tf.training.measuring.profiler import Profiler
from bert_tf.training.measuring.workload import workload
from bert_tf.training.optimizers import (
    Optimizer,
    describe_decay,
    make_optimizer,
    make_schedule,
)
from bert_tf.training.workers.agreement import (
    agreed_stop,
    check_same_step,
    holds_for_any,
    wait_for_all,
)
from bert_tf.training.workers.tf_config import ALONE, Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever shows it."""

    step: int
    num_steps: int
    sequences_per_second: float
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Steps on one kind of batches. A run has one, or several whose sequences differ in length."""

    num_steps: int
    batch_size: int
    """Examples of a step; where steps differ, of most."""
    accumulation_steps: int
    train_batches: Callable[..., tf.data.Dataset]
    """Step of the phase -> endless global batches from that step on; like `eval_batches` with what
    `split_batches` adds."""
    eval_batches: Callable[..., tf.data.Dataset] | None
    schedule: OptimizerConfig | None = None
    """Of the learning rate over the phase's own steps. None: one schedule for the whole run."""
    is_filled_up: bool = False
    """Batches are filled up with rows without weight where their parts do not divide them."""


@dataclass(frozen=True)
class Run:
    """All that one training run is made of.

    `config` has what does not change from phase to phase: weights, optimizer and step go on.
    """

    model: keras.Model
    objective: Objective
    strategy: tf.distribute.Strategy
    config: TrainingConfig
    phases: tuple[Phase, ...]
    seed: int
    output_dir: Path
    worker: Worker = ALONE
    """Of several workers only the chief writes."""
    log_metrics: Callable[[dict[str, float], int], None] = lambda metrics, step: None
    """Gets steps again that a resumed run does again."""
    logged: Callable[[int], Mapping[str, float]] = lambda step: {}
    """What `log_metrics` got of a step before the run was interrupted."""
    on_progress: Callable[[Progress], None] = lambda progress: None
    is_stop_requested: Callable[[], bool] = lambda: False
    profiler: Profiler | None = None
    rate: Rate | None = None
    """See `Evaluation`: further metrics of every evaluation."""
    predict: Predict | None = None
    """See `Evaluation`."""
    head_flops: float = 0.0
    """Of the head on each sequence, forward: see `models.flops`."""

    @property
    def num_steps(self) -> int:
        """Of all phases."""
        return sum(phase.num_steps for phase in self.phases)


@faults_named()
def train(run: Run) -> dict[str, float]:
    """Train from the newest checkpoint, or from the model's weights as they are, to the end.

    With moving averages every evaluation is of those, and at the end the model has them.

    Returns the metrics of the last evaluation, or of the last logged steps without one: those that
    were logged before, where the run was interrupted after its last step.

    Raises:
        TrainingInterruptedError: a stop was requested; a checkpoint was written.
        FloatingPointError: too many steps in a row without a finite loss and gradient; the last
            good checkpoint is kept.
    """
    parts = _prepare(run)
    step = first_step = parts.checkpoints.restore_newest()
    check_same_step(step, run.strategy, run.worker)
    parts.checkpoints.remove_left_over(step)
    if first_step:
        log.info("Going on at step %d of %d.", first_step, run.num_steps)
    metrics = _without_prefix(run.logged(first_step), "train") if first_step else {}
    begins_at = 0
    for phase, train_step in zip(run.phases, parts.train_steps, strict=True):
        if step < begins_at:  # one to come, whose step may be the largest
            _tried_batches(run, phase, train_step, step=begins_at, begins_at=begins_at)
        begins_at += phase.num_steps
    ends_at = 0
    with parts.checkpoints, run.profiler or contextlib.nullcontext():
        _make_up_evaluation(run, parts, step=first_step)
        for number, phase in enumerate(run.phases):
            begins_at, ends_at = ends_at, ends_at + phase.num_steps
            if step < ends_at:
                at = {"step": step, "begins_at": begins_at}
                metrics = _train_phase(run, parts, number, is_tried=begins_at > first_step, **at)
                step = ends_at
    parts.optimizer.adopt_averages()
    if evaluation := parts.evaluations[-1]:
        metrics = _evaluate(run, parts, evaluation, step=step)
    return metrics


def _make_up_evaluation(run: Run, parts: "_Parts", *, step: int) -> None:
    """Evaluate after `step`, the newest checkpoint's, if that was due and the run ended before."""
    if not 0 < step < run.num_steps:
        return
    ends = [*itertools.accumulate(phase.num_steps for phase in run.phases)]
    evaluation = parts.evaluations[bisect.bisect_left(ends, step)]
    is_due = step in ends or _is_due(step, run.config.evaluate_every_steps)
    if evaluation is None or not is_due:
        return
    is_missing = not _without_prefix(run.logged(step), "eval")
    if holds_for_any(is_missing, run.strategy, run.worker):
        with parts.optimizer.averaged_weights():
            _evaluate(run, parts, evaluation, step=step)


def _train_phase(
    run: Run,
    parts: "_Parts",
    number: int,
    *,
    step: int,
    begins_at: int,
    is_tried: bool,
) -> dict[str, float]:
    """Train from `step` of the run to the end of phase `number`, which begins at `begins_at`.

    `is_tried`: the dry step of the phase has been done.
    """
    config, checkpoints, skipped = run.config, parts.checkpoints, parts.skipped
    phase, train_step = run.phases[number], parts.train_steps[number]
    evaluation = parts.evaluations[number]
    ends_at = begins_at + phase.num_steps
    at = {"step": step, "begins_at": begins_at}
    batches = _tried_batches(run, phase, train_step, is_tried=is_tried, **at)
    take_step = memory_faults_named(_config_of(run, phase))(train_step.__call__)
    if run.profiler:
        take_step = run.profiler.watch(take_step, train_step.graph)
    rate = matrix_rate(run.strategy, dtype=run.model.compute_dtype)
    window = Window(batch_size=phase.batch_size, matrix_rate=rate)
    metrics: dict[str, float] = {}
    while step < ends_at:
        window.add(skipped.noted(take_step(batches, tf.constant(step, tf.int64))))
        step += 1
        is_last, is_end_of_phase = step == run.num_steps, step == ends_at
        if is_end_of_phase or _is_due(step, config.log_every_steps):
            skipped.look(step)
            num_updates = int(parts.optimizer.num_updates.numpy())
            metrics = window.close() | {"skipped_steps": step - num_updates}
            _report(run, metrics, step)
        is_stopping = not is_last and parts.is_stop_requested()
        is_evaluating = not is_last and (
            is_end_of_phase or _is_due(step, config.evaluate_every_steps)
        )
        must_save = is_end_of_phase or is_stopping or (is_evaluating and bool(config.keep_best))
        if must_save or _is_due(step, config.checkpoint_every_steps):
            skipped.look(step)
            if is_end_of_phase or is_stopping:
                checkpoints.save(step)
            elif must_save or not skipped.in_a_row:  # those before the trouble are worth more
                checkpoints.save_in_background(step)
            window.restart_clock()
        if is_stopping:
            wait_for_all(run.strategy, run.worker)
            raise TrainingInterruptedError(
                f"Stopped after step {step} of {run.num_steps}; checkpoint written."
            )
        if evaluation and is_evaluating:
            with parts.optimizer.averaged_weights():
                metrics = _evaluate(run, parts, evaluation, step=step)
            window.restart_clock()
    return metrics


class _Parts(NamedTuple):
    optimizer: Optimizer
    checkpoints: Checkpoints
    skipped: SkippedSteps
    is_stop_requested: Callable[[], bool]
    train_steps: list[TrainStep]
    """Of each phase, as the evaluations."""
    evaluations: list[Evaluation | None]


def _prepare(run: Run) -> _Parts:
    config = run.config
    schedules = [(phase.schedule, phase.num_steps) for phase in run.phases if phase.schedule]
    with run.strategy.scope():
        optimizer = make_optimizer(
            run.model,
            config=config.optimizer,
            num_steps=run.num_steps,
            schedule=make_schedule(schedules) if schedules else None,
        )
        log.info("%s", describe_decay(optimizer.parameters, config=config.optimizer))
        loss_scale = make_loss_scale(run.model)
        checkpoints = Checkpoints(
            run.output_dir / CHECKPOINTS_FOLDER,
            model=run.model,
            optimizer=optimizer,
            loss_scale=loss_scale,
            keep=config.keep_checkpoints,
            keep_every_steps=config.keep_every_steps,
            keep_best=config.keep_best,
            is_writer=run.worker.is_chief,
            saves_in_background=config.checkpoint_every_steps < run.num_steps,
        )
    if config.keep_best is not None and any(phase.eval_batches is None for phase in run.phases):
        raise ValueError(
            "keep_best needs held-out data to rate checkpoints on. Received: "
            f"keep_best={config.keep_best!r} and none. Provide some, or leave keep_best out."
        )
    skipped = SkippedSteps(config.max_skipped_steps, checkpoints=checkpoints.directory)
    train_steps = [
        make_train_step(
            run.model,
            run.objective,
            optimizer,
            strategy=run.strategy,
            num_parts=phase.accumulation_steps,
            max_grad_norm=config.optimizer.max_grad_norm,
            seed=run.seed,
            loss_scale=loss_scale,
            measure=functools.partial(workload, run.model, head_flops=run.head_flops),
        )
        for phase in run.phases
    ]
    evaluations = [
        phase.eval_batches
        and Evaluation(
            run.model,
            run.objective,
            phase.eval_batches,
            strategy=run.strategy,
            rate=run.rate,
            predict=run.predict,
        )
        for phase in run.phases
    ]
    is_stop_requested = agreed_stop(run.is_stop_requested, run.strategy, run.worker)
    return _Parts(optimizer, checkpoints, skipped, is_stop_requested, train_steps, evaluations)


def _tried_batches(
    run: Run,
    phase: Phase,
    train_step: TrainStep,
    *,
    step: int,
    begins_at: int,
    is_tried: bool = False,
) -> Iterator[Any]:
    return tried_batches(
        functools.partial(phase.train_batches, step - begins_at),
        train_step,
        model=run.model,
        config=_config_of(run, phase),
        strategy=run.strategy,
        step=step,
        is_tried=is_tried,
    )


def _config_of(run: Run, phase: Phase) -> TrainingConfig:
    split = {"batch_size": phase.batch_size, "accumulation_steps": phase.accumulation_steps}
    return run.config.model_copy(update=split)


def _evaluate(run: Run, parts: _Parts, evaluation: Evaluation, *, step: int) -> dict[str, float]:
    """Metrics of the model as it is, logged when the best checkpoint is noted."""
    metrics = evaluation()
    parts.checkpoints.note_metrics(metrics, step=step)
    run.log_metrics(_with_prefix(metrics, "eval"), step)
    return metrics


def _report(run: Run, metrics: dict[str, float], step: int) -> None:
    run.log_metrics(_with_prefix(metrics, "train"), step)
    shown = {"loss": math.nan} | metrics  # no loss where every step was skipped
    run.on_progress(Progress(step, run.num_steps, metrics["sequences_per_second"], shown))


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _with_prefix(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}


def _without_prefix(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Those that have it."""
    names = [name for name in metrics if name.startswith(f"{prefix}/")]
    return {name.removeprefix(f"{prefix}/"): metrics[name] for name in names}
