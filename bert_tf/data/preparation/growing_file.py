"""Reads a file that is still being written as if it were whole already.

Where the next bytes are not there yet, reading waits: what it returns is byte for byte, call for
call, what the finished file would give. So a worker that follows a spool file cuts the same blocks.
"""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

WAIT_SECONDS = 0.02


class GrowingFile:
    """A binary stream of `path`, which may come into being a little later.

    The file is whole once `end_mark` exists, which its writer makes last. A reader whose writer
    gives up waits until somebody ends it.
    """

    def __init__(self, path: Path, *, end_mark: Path) -> None:
        self._end_mark = end_mark
        self._is_whole = False
        while not path.exists():
            time.sleep(WAIT_SECONDS)
        self._stream = path.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end of the whole file."""
        pieces: list[bytes] = []
        missing = size
        while True:
            is_whole = self._look()
            pieces.append(self._stream.read(missing))
            missing -= len(pieces[-1])
            if is_whole or not missing:
                return b"".join(pieces)
            time.sleep(WAIT_SECONDS)

    def readline(self) -> bytes:
        """The next line with its line feed; without one only at the end of the whole file."""
        pieces: list[bytes] = []
        while True:
            is_whole = self._look()
            pieces.append(self._stream.readline())
            if is_whole or pieces[-1].endswith(b"\n"):
                return b"".join(pieces)
            time.sleep(WAIT_SECONDS)

    def _look(self) -> bool:
        """Whether the file is whole. To be asked before reading, or what comes last is missed."""
        self._is_whole = self._is_whole or self._end_mark.exists()
        return self._is_whole
