"""The steps between two log lines: what they add up to, and which of them were skipped.

Steps are kept as tensors and looked at when a line or a checkpoint is due: not to wait for each.
"""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import tensorflow as tf

from bert_tf.models.objective import Sums
from bert_tf.training.engine.objective import summarize

log = logging.getLogger(__name__)

Scalars = dict[str, tf.Tensor]
Step = tuple[Sums, Scalars, Scalars]
"""What `make_train_step` gives for a step: sums, weights and extras."""


@dataclass
class Window:
    """Sums over the steps between two log lines, and the time that they took.

    Skipped steps count as time only.
    """

    batch_size: int
    matrix_rate: float | None = None
    """What `model_flops_utilization` is a share of, FLOP/s."""
    steps: list[Step] = field(default_factory=list)
    seconds: float = 0.0
    started_at: float = field(default_factory=time.perf_counter)

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self._note_time()

    def restart_clock(self) -> None:
        """Leave out the time since the last step."""
        self.started_at = time.perf_counter()

    def close(self) -> dict[str, float]:
        """Metrics over the steps since the last call; waits for them.

        `learning_rate` and the like are those of the newest step; what is called `num_…` gives
        rates: `real_tokens_per_second`, and from `num_flops` the utilisation of the devices. With
        every step skipped there are no losses.
        """
        done = [step for step in self.steps if not bool(step[2]["is_skipped"])]
        metrics: dict[str, float] = {}
        if done:
            sums, weights, extras = zip(*done, strict=True)
            pooled = tf.nest.map_structure(
                lambda *parts: sum(parts), *zip(sums, weights, strict=True)
            )
            metrics = summarize(*pooled)
            numbers = {n: x for n, x in extras[-1].items() if not n.startswith(("is_", "num_"))}
            metrics |= {name: float(value) for name, value in numbers.items()}
        self._note_time()
        metrics["seconds_per_step"] = self.seconds / len(self.steps)
        metrics["sequences_per_second"] = self.batch_size * len(self.steps) / self.seconds
        metrics |= self._rates()
        self.steps, self.seconds = [], 0.0
        return metrics

    def _rates(self) -> dict[str, float]:
        all_extras = [extras for _, _, extras in self.steps]
        if self.matrix_rate is None or "num_flops" not in all_extras[0]:
            return {}
        tokens, flops = (
            sum(float(extras[name]) for extras in all_extras) / self.seconds
            for name in ("num_real_tokens", "num_flops")
        )
        return {
            "real_tokens_per_second": tokens,
            "model_flops_utilization": flops / self.matrix_rate,
        }

    def _note_time(self) -> None:
        self.seconds += time.perf_counter() - self.started_at
        self.restart_clock()


@dataclass
class SkippedSteps:
    """How many steps in a row were skipped, overflows of float16 not counted."""

    max_in_a_row: int
    checkpoints: Path
    """The folder, for the error."""
    in_a_row: int = 0
    unseen: list[Scalars] = field(default_factory=list)

    def noted(self, step: Step) -> Step:
        """The same step, which the next `look` will count."""
        self.unseen.append(step[2])
        return step

    def look(self, step: int) -> None:
        """Count the steps since the last call, of which `step` is the newest; waits for them.

        Raises:
            FloatingPointError: `max_in_a_row` of them, or more, were skipped one after another.
        """
        first = step - len(self.unseen) + 1
        for number, extras in enumerate(self.unseen, first):
            if bool(extras["is_overflow"]):
                log.info("Step %d overflowed and was skipped: the loss scale is halved.", number)
                continue
            is_skipped = bool(extras["is_skipped"])
            self.in_a_row = self.in_a_row + 1 if is_skipped else 0
            if is_skipped:
                log.warning("Step %d was skipped: its loss or gradient is not finite.", number)
            if self.in_a_row >= self.max_in_a_row:
                raise FloatingPointError(
                    "Loss and gradient must be finite. Received: others in "
                    f"{self.in_a_row} steps in a row, up to step {number}; they were skipped. "
                    f"{self.checkpoints} holds the last good checkpoint. Lower the learning rate, "
                    "use another precision, or look for what is wrong in these steps' data."
                )
        self.unseen = []
