"""The steps of a run that the profiler traces, parsed and checked without TensorFlow."""

from typing import NamedTuple, Self


class ProfileRangeError(ValueError):
    """The steps to be profiled are not steps that the run will train."""


class ProfiledSteps(NamedTuple):
    """Numbers of steps as they are logged: from 1, the last one included."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Steps from `START:END`.

        Raises:
            ProfileRangeError: it is something else.
        """
        parts = text.split(":")
        if len(parts) == 2 and all(part.isdecimal() for part in parts):
            steps = cls(*map(int, parts))
            if 1 <= steps.start <= steps.end:
                return steps
        raise ProfileRangeError(
            "it must be START:END with 1 <= START <= END: numbers of steps, both traced. "
            f"Received: {text!r}. Try 10:12."
        )

    def check(self, *, first_step: int, num_steps: int) -> None:
        """Raise ProfileRangeError unless they are among the steps after `first_step`."""
        if not first_step < self.start <= self.end <= num_steps:
            raise ProfileRangeError(
                "--profile START:END must be within the steps that will be trained, "
                f"{first_step + 1} to {num_steps}. Received: {self.start}:{self.end}. Choose among "
                "them; steps before a checkpoint are not trained again."
            )
