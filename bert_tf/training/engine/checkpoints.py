"""The state of a run on disk: weights, the optimizer's state and the step they belong to.

A checkpoint names its step, and data order, masks and dropout follow from (seed, step): nothing
else needs to be kept to go on. Its files are written aside and moved into place, the index last:
what has an index and data is a checkpoint.

While training goes on, a thread writes a copy of the state, one checkpoint at a time; a process
that dies before the files are in place loses that checkpoint only.
"""

import json
import logging
import math
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import tensorflow as tf

from bert_tf.config import Section
from bert_tf.models.tensors import weights_by_name
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_model
from bert_tf.system.lookalikes import alike_hint
from bert_tf.training.engine.loss_scale import LossScale
from bert_tf.training.engine.snapshot import Snapshot
from bert_tf.training.optimizers import Optimizer

log = logging.getLogger(__name__)

CHECKPOINTS_FOLDER = "checkpoints"
BEST_FILE = "best.json"

# What TensorFlow raises on damaged, truncated and incomplete files.
_UNREADABLE = (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError)


class _Best(Section):
    """What `best.json` holds."""

    metric: str
    step: int
    value: float


class Checkpoints:
    """The checkpoints of one run in `directory`.

    Use it as a context manager around the run: what is being written then is waited for.

    Args:
        loss_scale: of a run in float16.
        keep: how many of the newest stay.
        keep_every_steps: those of steps that it divides stay as well.
        keep_best: the metric after which one more stays, see `note_metrics`.
        is_writer: false of a worker that reads them only: another writes the same.
        saves_in_background: take the memory for `save_in_background` now, and not when it is
            first called.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        model: Any,
        optimizer: Optimizer,
        loss_scale: LossScale | None = None,
        keep: int,
        keep_every_steps: int | None = None,
        keep_best: str | None = None,
        is_writer: bool = True,
        saves_in_background: bool = False,
    ):
        self.directory = Path(directory)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._keep = keep
        self._keep_every_steps = keep_every_steps
        self._keep_best = keep_best
        self._is_writer = is_writer
        trainable = {id(variable): i for i, variable in enumerate(model.trainable_variables)}
        self._state = {
            name.replace("/", "."): _state(optimizer, trainable[id(weight)])
            for name, weight in weights_by_name(model).items()
        }
        tree = {"step": self.step, "num_updates": optimizer.num_updates, "state": self._state}
        if loss_scale is not None:
            tree["loss_scale"] = loss_scale.state
        self._checkpoint = tf.train.Checkpoint(**tree)
        self._snapshot = Snapshot(tree)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._work: Future[Any] | None = None
        if saves_in_background and is_writer:
            self._work = self._thread.submit(self._snapshot.allocate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()
        try:
            self.wait()
        except Exception as error:
            if kind is None:
                raise
            log.warning("The last checkpoint was not written: %s", error)

    def restore_newest(self) -> int:
        """Load the newest whole checkpoint, if there is one; the step to go on from, or 0.

        Raises:
            ValueError: there are checkpoints, and none is whole.
        """
        steps = checkpoint_steps(self.directory)
        for step in reversed(steps):
            path = self._path(step)
            try:
                self._checkpoint.restore(str(path)).assert_consumed()
            except _UNREADABLE as error:
                log.warning(
                    "%s: a checkpoint must be whole. Received: %s. Going back to the one before.",
                    path,
                    str(error).splitlines()[0],
                )
                continue
            return int(self.step.numpy())
        if steps:
            raise ValueError(
                f"{self.directory}: at least one checkpoint must be whole. Received: "
                f"{len(steps)}, none of them readable. Delete the folder to "
                "start again from the first step."
            )
        return 0

    def remove_left_over(self, step: int) -> None:
        """Remove what a process left that was killed while it wrote or deleted checkpoints.

        `step` is the newest checkpoint's. Of several workers all must have read it.
        """
        if self._is_writer:
            self._remove_half_written()
            self._delete_old(step)

    def save(self, step: int) -> Path:
        """Write the state after `step` steps; older checkpoints that need not stay go.

        Raises:
            FloatingPointError: the state is not finite; nothing was written.
            OSError, tf.errors.OpError: writing failed, or that of the checkpoint before did.
        """
        self.wait()
        self._refuse_non_finite(step)
        self.step.assign(step)
        if not self._is_writer:
            return self._path(step)
        return self._write(self._checkpoint, step)

    def save_in_background(self, step: int) -> None:
        """As `save`, but return when the state is copied; the copy is written by a thread.

        Waits for the checkpoint before. Raises as `save`; what goes wrong while the thread writes
        is raised by the next `save…`, `wait`, `note_metrics` or at the end of the context.
        """
        self.wait()
        self._refuse_non_finite(step)
        self.step.assign(step)
        if not self._is_writer:
            return
        self._snapshot.take()

        def write() -> None:
            self._write(tf.train.Checkpoint(**self._snapshot.variables()), step)

        self._work = self._thread.submit(write)

    def wait(self) -> None:
        """Return when nothing is being written. Raises what went wrong."""
        work, self._work = self._work, None
        if work is not None:
            work.result()

    def _write(self, checkpoint: tf.train.Checkpoint, step: int) -> Path:
        checkpoint.save_counter.assign_add(1)  # TensorFlow expects one on loading
        path = self._path(step)
        aside = self.directory / f".{path.name}.tmp"
        self._remove_half_written()
        try:
            checkpoint.write(str(aside / path.name))
            index = f"{path.name}.index"
            (self.directory / index).unlink(missing_ok=True)  # of a damaged one
            for file in sorted(aside.glob(f"{path.name}.data-*")):
                file.replace(self.directory / file.name)
            (aside / index).replace(self.directory / index)
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # half a checkpoint takes space for nothing
        self._delete_old(step)
        return path

    def note_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """What an evaluation of the checkpoint of `step` gave: the best one stays.

        Raises:
            ValueError: the evaluation has no such metric.
        """
        name = self._keep_best
        if name is None:
            return
        if name not in metrics:
            raise ValueError(
                "keep_best must be a metric of the evaluation. Received: "
                f"{name!r}. Use one of {', '.join(sorted(metrics))}."
                f"{alike_hint(name, metrics)}"
            )
        if not self._is_writer:
            return
        self.wait()
        best, value = self._best(), metrics[name]
        if math.isfinite(value) and (not best or _is_better(value, best["value"], name=name)):
            content = {"metric": name, "step": step, "value": value}
            write_whole(self.directory / BEST_FILE, json.dumps(content, indent=2) + "\n")
            self._delete_old(step)

    def _remove_half_written(self) -> None:
        for left_over in self.directory.glob(".step-*.tmp"):  # of a killed process
            shutil.rmtree(left_over)

    def _path(self, step: int) -> Path:
        return self.directory / f"step-{step}"

    def _best(self) -> dict[str, Any]:
        """What `best.json` says of the metric that counts, or nothing."""
        path = self.directory / BEST_FILE
        if not path.is_file():
            return {}
        note = read_model(path, _Best, what="a note of the best checkpoint")
        return note.model_dump() if note.metric == self._keep_best else {}

    def _refuse_non_finite(self, step: int) -> None:
        for name, variables in self._state.items():
            for kind, variable in variables.items():
                if not math.isfinite(tf.nn.l2_loss(variable)):
                    raise FloatingPointError(
                        f"What is saved must be finite. Received: other numbers in {name}, "
                        f"{kind.replace('_', ' ')}, after step {step}. The checkpoints in "
                        f"{self.directory} are from before. Lower the learning rate."
                    )

    def _delete_old(self, step: int) -> None:
        """Those after `step` are damaged ones that the run went back from: it will write them."""
        steps = [other for other in checkpoint_steps(self.directory) if other <= step]
        stay = {*steps[-self._keep :], self._best().get("step")}
        if self._keep_every_steps:
            stay |= {other for other in steps if other % self._keep_every_steps == 0}
        for other, files in _files_by_step(self.directory).items():
            if other <= step and other not in stay:
                for file in files:
                    file.unlink()


def checkpoint_steps(directory: str | Path) -> list[int]:
    """Steps of the checkpoints in a folder, the oldest first, whether or not they can be read."""
    return [
        step
        for step, files in sorted(_files_by_step(Path(directory)).items())
        if {file.suffix == ".index" for file in files} == {True, False}
    ]


def newest_step(output_dir: str | Path) -> int:
    """The step after which a run in `output_dir` goes on; 0 of one that has no checkpoint."""
    return max(checkpoint_steps(Path(output_dir) / CHECKPOINTS_FOLDER), default=0)


def oldest_step(output_dir: str | Path) -> int:
    """The step before which no run in `output_dir` goes on: some checkpoint may be damaged."""
    return min(checkpoint_steps(Path(output_dir) / CHECKPOINTS_FOLDER), default=0)


def _files_by_step(directory: Path) -> dict[int, list[Path]]:
    """Each step's files, the index first: without it the others are no checkpoint."""
    found: dict[int, list[Path]] = {}
    for file in sorted(directory.glob("step-*"), key=lambda file: file.suffix != ".index"):
        if match := re.fullmatch(r"step-(\d+)\.(index|data-\d+-of-\d+)", file.name):
            found.setdefault(int(match[1]), []).append(file)
    return found


def _state(optimizer: Optimizer, index: int) -> dict[str, tf.Variable]:
    return {"weight": optimizer.weights[index], **optimizer.slots[index]}


def _is_better(value: float, best: float, *, name: str) -> bool:
    is_cost = name.endswith(("loss", "perplexity"))
    return value < best if is_cost else value > best
