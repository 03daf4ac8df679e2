"""Lets Python's `csv` read cells of more than its default limit of 131,072 characters.

The limit is one for the whole process, so it is raised for as long as records are parsed only.
"""

import contextlib
import csv
import threading
from collections.abc import Iterator

LONGEST_CELL = (1 << 31) - 1
"""Characters."""
_lock = threading.Lock()


@contextlib.contextmanager
def long_cells(limit: int = LONGEST_CELL) -> Iterator[None]:
    """Let `csv` read cells of up to `limit` characters."""
    with _lock:
        before = csv.field_size_limit(limit)
        try:
            yield
        finally:
            csv.field_size_limit(before)
