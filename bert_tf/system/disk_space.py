"""Tells a full disk from other errors, whichever library met it."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
_SAID = re.compile(
    r"(?:(?P<path>/[^;:\n]*); )?(?P<what>No space left on device|Disk quota exceeded"
    r"|database or disk is full)"
)
"""As Linux says it, TensorFlow, safetensors and Arrow repeat it, and SQLite puts it."""


def full_disk(error: BaseException) -> str | None:
    """What to tell where a full disk is behind an error; None where it is not."""
    for cause in _causes(error):
        path = what = None
        if isinstance(cause, OSError) and cause.errno in _ERRNOS:
            path, what = cause.filename, os.strerror(cause.errno)
        elif said := _SAID.search(str(cause)):
            path, what = said["path"], said["what"]
        if what is not None:
            place = Path(os.fsdecode(path)).parent if path else "The disk"
            return (
                f"{place}: there must be space for what is written. Received: {what.lower()}. "
                "Free some, and run the same command again: it goes on with what is there."
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it came from."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
