"""Traces a few steps of a run, for TensorBoard and as a table of where their time went."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf

from bert_tf.tracking.reporting import TENSORBOARD_FOLDER
from bert_tf.training.measuring.profiled_steps import ProfiledSteps
from bert_tf.training.measuring.step_times import (
    STEP_EVENT,
    describe,
    names_of_calls,
    read_step_times,
)

log = logging.getLogger(__name__)


def open_profiler(
    steps: ProfiledSteps | None, output_dir: Path, *, first_step: int, num_steps: int
) -> "Profiler | None":
    """What traces `steps` of the run in `output_dir`, which begins at `first_step`; None for None.

    Raises:
        ProfileRangeError: the run has no such steps, or has done them.
    """
    if steps is None:
        return None
    steps.check(first_step=first_step, num_steps=num_steps)
    return Profiler(steps, output_dir / TENSORBOARD_FOLDER)


class Profiler:
    """Traces `steps` of one run into a TensorBoard folder and logs a table of their times.

    Use it as a context manager around the run: one that ends too early leaves no trace.
    """

    def __init__(self, steps: ProfiledSteps, directory: str | Path):
        self.steps = steps
        self._directory = Path(directory)
        self._is_tracing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_tracing:
            tf.profiler.experimental.stop(save=False)
            self._is_tracing = False

    def watch(
        self, train_step: Callable[..., Any], make_graph: Callable[..., Any]
    ) -> Callable[..., Any]:
        """`train_step`, of (iterator, step from 0), traced where it is to be.

        Args:
            make_graph: of the same arguments, see `TrainStep.graph`.
        """

        @functools.wraps(train_step)
        def watched(iterator: Any, step: tf.Tensor) -> Any:
            number = int(step) + 1
            if not self.steps.start <= number <= self.steps.end:
                return train_step(iterator, step)
            if number == self.steps.start:
                tf.profiler.experimental.start(str(self._directory))
                self._is_tracing = True
            with tf.profiler.experimental.Trace(STEP_EVENT, step_num=number, _r=1):
                result = train_step(iterator, step)
                tf.nest.map_structure(np.asarray, result)  # waits for the step
            if number == self.steps.end:
                tf.profiler.experimental.stop()
                self._is_tracing = False
                self._report(make_graph(iterator, step))
            return result

        return watched

    def _report(self, graph: Any) -> None:
        times = read_step_times(self._directory, names=names_of_calls(graph))
        steps = " to ".join(str(number) for number in sorted({*self.steps}))
        title = (
            f"Where the time of a step went: wall time of step {steps}, traced. Kernels fused by "
            "XLA count for the layer that calls them; what no layer has made is rest."
        )
        log.info("%s", describe(times, title=title))
        log.info("The whole trace: tensorboard --logdir %s (profile plugin).", self._directory)
