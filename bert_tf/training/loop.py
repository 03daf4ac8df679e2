"""The training loop: batches in, a trained model and its metrics out.

Restore the newest checkpoint; then step, log, evaluate and checkpoint until the last step.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import tensorflow as tf

from bert_tf.config import TrainingConfig
from bert_tf.training.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from bert_tf.training.metrics import Objective, Sums, summarize
from bert_tf.training.optimizers import describe_decay, make_optimizer
from bert_tf.training.step import make_eval_step, make_train_step
from bert_tf.training.strategy import split_batches

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
    train_batches: Callable[[int], tf.data.Dataset]
    """Step -> endless global batches from that step on."""
    eval_batches: Callable[[], tf.data.Dataset] | None
    output_dir: Path
    log_metrics: Callable[[dict[str, float], int], None] = lambda metrics, step: None
    on_progress: Callable[[Progress], None] = lambda progress: None
    is_stop_requested: Callable[[], bool] = lambda: False


class TrainingInterruptedError(Exception):
    """The run was asked to stop, and its checkpoint is written."""


def train(run: Run) -> dict[str, float]:
    """Train from the newest checkpoint, or from the model's weights as they are, to the end.

    Returns the metrics of the last evaluation, or of the last logged steps without one.

    Raises:
        TrainingInterruptedError: a stop was requested; a checkpoint was written.
        FloatingPointError: the loss is not finite any more; the last checkpoint is kept.
    """
    config = run.config
    with run.strategy.scope():
        optimizer = make_optimizer(run.model, config=config.optimizer, num_steps=run.num_steps)
        log.info("%s", describe_decay(optimizer.parameters, config=config.optimizer))
        checkpoints = Checkpoints(
            run.output_dir / CHECKPOINTS_FOLDER,
            model=run.model,
            optimizer=optimizer,
            keep=config.keep_checkpoints,
        )
    step = first_step = checkpoints.restore_newest()
    if first_step:
        log.info("Going on at step %d of %d.", first_step, run.num_steps)
    batches = iter(split_batches(lambda: run.train_batches(first_step), run.strategy))
    train_step = make_train_step(
        run.model,
        run.objective,
        optimizer,
        strategy=run.strategy,
        num_parts=config.accumulation_steps,
        max_grad_norm=config.optimizer.max_grad_norm,
        seed=run.seed,
    )
    evaluation = run.eval_batches and Evaluation(
        run.model, run.objective, run.eval_batches, strategy=run.strategy
    )
    window = _Window(batch_size=config.batch_size)
    metrics: dict[str, float] = {}
    while step < run.num_steps:
        window.add(*train_step(batches, tf.constant(step, tf.int64)))
        step += 1
        is_last = step == run.num_steps
        if is_last or step % config.log_every_steps == 0:
            metrics = window.close()
            _refuse_non_finite(metrics, step=step, directory=checkpoints.directory)
            run.log_metrics(_with_prefix(metrics, "train"), step)
            run.on_progress(Progress(step, run.num_steps, metrics["sequences_per_second"], metrics))
        is_stopping = not is_last and run.is_stop_requested()
        if is_last or is_stopping or _is_due(step, config.checkpoint_every_steps):
            _refuse_non_finite(window.last(), step=step, directory=checkpoints.directory)
            checkpoints.save(step)
            window.restart_clock()
        if is_stopping:
            raise TrainingInterruptedError(
                f"Stopped after step {step} of {run.num_steps}; checkpoint written."
            )
        if evaluation and (is_last or _is_due(step, config.evaluate_every_steps)):
            metrics = evaluation()
            run.log_metrics(_with_prefix(metrics, "eval"), step)
            window.restart_clock()
    if not metrics and evaluation:
        metrics = evaluation()
    return metrics


class Evaluation:
    """Metrics over all of `batches`, each prediction counted once (see `metrics.summarize`).

    Calling it makes one pass; the graph is built at the first call only.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        batches: Callable[[], tf.data.Dataset],
        *,
        strategy: tf.distribute.Strategy,
    ):
        self._batches = batches
        self._strategy = strategy
        self._eval_step = make_eval_step(model, objective, strategy)

    def __call__(self) -> dict[str, float]:
        totals = None
        iterator = iter(split_batches(self._batches, self._strategy))
        while True:
            try:
                sums = self._eval_step(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                break
            totals = sums if totals is None else tf.nest.map_structure(tf.add, totals, sums)
        if totals is None:
            raise ValueError("Evaluation needs at least one batch. Received: none.")
        return summarize(*totals)


@dataclass
class _Window:
    """Sums over the steps between two log lines, and the time that they took."""

    batch_size: int
    sums: list[tuple[Sums, dict[str, tf.Tensor]]] = field(default_factory=list)
    newest: tuple[Sums, dict[str, tf.Tensor], dict[str, tf.Tensor]] | None = None
    """The last step's sums, weights and extras; they outlive the window."""
    seconds: float = 0.0
    started_at: float = field(default_factory=time.perf_counter)

    def add(self, sums: Sums, weights: dict[str, tf.Tensor], extras: dict[str, tf.Tensor]) -> None:
        self.newest = (sums, weights, extras)
        self.sums.append((sums, weights))
        self._note_time()

    def restart_clock(self) -> None:
        self.started_at = time.perf_counter()

    def last(self) -> dict[str, float]:
        """Metrics of the newest step alone; waits for it."""
        if self.newest is None:
            raise ValueError("A window must have seen a step. Received: none.")
        sums, weights, extras = self.newest
        return summarize(sums, weights) | {name: float(value) for name, value in extras.items()}

    def close(self) -> dict[str, float]:
        """Metrics over the steps since the last call; waits for them."""
        pooled = summarize(*tf.nest.map_structure(lambda *parts: sum(parts), *self.sums))
        metrics = self.last() | pooled
        self._note_time()
        metrics["seconds_per_step"] = self.seconds / len(self.sums)
        metrics["sequences_per_second"] = self.batch_size * len(self.sums) / self.seconds
        self.sums, self.seconds = [], 0.0
        return metrics

    def _note_time(self) -> None:
        self.seconds += time.perf_counter() - self.started_at
        self.restart_clock()


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _with_prefix(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in metrics.items()}


def _refuse_non_finite(metrics: dict[str, float], *, step: int, directory: Path) -> None:
    for name in ("loss", "gradient_norm"):
        if not math.isfinite(metrics[name]):
            raise FloatingPointError(
                f"The {name.replace('_', ' ')} must be finite. Received: {metrics[name]} at step "
                f"{step} or shortly before. The checkpoints in {directory} are from before. Lower "
                "the learning rate or use precision=float32."
            )
