"""SIGTERM, which libraries take for themselves when they start something."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """Whoever heard of SIGTERM before the block hears of it after: TensorFlow's cluster and Ray
    put handlers of their own in its place, which end the process or tell nobody.
    """
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main and handler is not None:
            signal.signal(signal.SIGTERM, handler)
