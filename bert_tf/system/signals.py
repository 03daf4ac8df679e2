"""Notes SIGTERM and SIGINT for work that can stop in order; keeps libraries from taking them."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class TrainingInterruptedError(Exception):
    """The run was asked to stop, and its checkpoint is written."""


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """Puts the SIGTERM handler from before the block back at its end: TensorFlow's cluster and Ray
    install handlers of their own, which end the process or swallow the signal.
    """
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main and handler is not None:
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT; a second SIGINT interrupts at once."""
    received: list[int] = []

    def note(number: int, _frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
