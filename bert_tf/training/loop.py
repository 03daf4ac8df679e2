"""The training loop: batches in, a trained model and its metrics out.

Restore the newest checkpoint; then step, log, evaluate and checkpoint until the last step.
"""

import functools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from bert_tf.config import TrainingConfig
from bert_tf.data.batches.ranges import faults_named
from bert_tf.training.checked_batches import checked
from bert_tf.training.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from bert_tf.training.dry_step import memory_faults_named, try_first_step, with_trials
from bert_tf.training.evaluation_pass import Evaluation
from bert_tf.training.loss_scale import make_loss_scale
from bert_tf.training.metrics import Objective
from bert_tf.training.optimizers import Optimizer, describe_decay, make_optimizer
from bert_tf.training.step import make_train_step
from bert_tf.training.strategy import split_batches
from bert_tf.training.window import SkippedSteps, Window

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever shows it."""

    step: int
    num_steps: int
    sequences_per_second: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Run:
    """All that one training run is made of."""

    model: keras.Model
    objective: Objective
    strategy: tf.distribute.Strategy
    config: TrainingConfig
    num_steps: int
    seed: int
    train_batches: Callable[..., tf.data.Dataset]
    """Step -> endless global batches from that step on; like `eval_batches` with what
    `split_batches` adds."""
    eval_batches: Callable[..., tf.data.Dataset] | None
    output_dir: Path
    log_metrics: Callable[[dict[str, float], int], None] = lambda metrics, step: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    is_stop_requested: Callable[[], bool] = lambda: False


class TrainingInterruptedError(Exception):
    """The run was asked to stop, and its checkpoint is written."""


@faults_named()
def train(run: Run) -> dict[str, float]:
    """Train from the newest checkpoint, or from the model's weights as they are, to the end.

    With moving averages every evaluation is of those, and at the end the model has them.

    Returns the metrics of the last evaluation, or of the last logged steps without one.

    Raises:
        TrainingInterruptedError: a stop was requested; a checkpoint was written.
        FloatingPointError: too many steps in a row without a finite loss and gradient; the last
            good checkpoint is kept.
    """
    config = run.config
    train_step, optimizer, checkpoints, evaluation = _prepare(run)
    step = first_step = checkpoints.restore_newest()
    if first_step:
        log.info("Going on at step %d of %d.", first_step, run.num_steps)
    make_batches = checked(functools.partial(run.train_batches, first_step), run.model)
    batches = iter(split_batches(with_trials(make_batches), run.strategy))
    if step < run.num_steps:
        of_run = {"model": run.model, "config": config, "strategy": run.strategy}
        try_first_step(train_step, batches, **of_run, step=step)
    window = Window(batch_size=config.batch_size)
    skipped = SkippedSteps(config.max_skipped_steps, checkpoints=checkpoints.directory)
    metrics: dict[str, float] = {}
    while step < run.num_steps:
        window.add(skipped.noted(train_step(batches, tf.constant(step, tf.int64))))
        step += 1
        is_last = step == run.num_steps
        if is_last or _is_due(step, config.log_every_steps):
            skipped.look(step)
            metrics = window.close() | {"skipped_steps": step - int(optimizer.num_updates.numpy())}
            _report(run, metrics, step)
        is_stopping = not is_last and run.is_stop_requested()
        is_evaluating = not is_last and _is_due(step, config.evaluate_every_steps)
        must_save = is_last or is_stopping or (is_evaluating and config.keep_best is not None)
        if must_save or _is_due(step, config.checkpoint_every_steps):
            skipped.look(step)
            if must_save or not skipped.in_a_row:  # those before the trouble are worth more
                checkpoints.save(step)
            window.restart_clock()
        if is_stopping:
            raise TrainingInterruptedError(
                f"Stopped after step {step} of {run.num_steps}; checkpoint written."
            )
        if evaluation and is_evaluating:
            with optimizer.averaged_weights():
                metrics = _evaluate(run, evaluation, checkpoints, step=step)
            window.restart_clock()
    optimizer.adopt_averages()
    if evaluation:
        metrics = _evaluate(run, evaluation, checkpoints, step=step, is_news=step > first_step)
    return metrics


class _Parts(NamedTuple):
    train_step: Callable[..., Any]
    optimizer: Optimizer
    checkpoints: Checkpoints
    evaluation: Evaluation | None


def _prepare(run: Run) -> _Parts:
    config = run.config
    with run.strategy.scope():
        optimizer = make_optimizer(run.model, config=config.optimizer, num_steps=run.num_steps)
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
        )
    train_step = make_train_step(
        run.model,
        run.objective,
        optimizer,
        strategy=run.strategy,
        num_parts=config.accumulation_steps,
        max_grad_norm=config.optimizer.max_grad_norm,
        seed=run.seed,
        loss_scale=loss_scale,
    )
    evaluation = run.eval_batches and Evaluation(
        run.model, run.objective, run.eval_batches, strategy=run.strategy
    )
    if evaluation is None and config.keep_best is not None:
        raise ValueError(
            "keep_best needs held-out data to rate checkpoints on. Received: "
            f"keep_best={config.keep_best!r} and none. Provide some, or leave keep_best out."
        )
    explained_step = memory_faults_named(train_step, config=config)
    return _Parts(explained_step, optimizer, checkpoints, evaluation)


def _evaluate(
    run: Run, evaluation: Evaluation, checkpoints: Checkpoints, *, step: int, is_news: bool = True
) -> dict[str, float]:
    """Metrics of the model as it is, logged if they are news; the best checkpoint is noted."""
    metrics = evaluation()
    checkpoints.note_metrics(metrics, step=step)
    if is_news:
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
