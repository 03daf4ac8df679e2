"""Standard input as a corpus: read once, its bytes counted and digested on the way."""

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

STANDARD_INPUT = "-"
"""What `corpus.paths` calls it."""
NAME = "standard input"
"""What messages and plans call it."""


class StandardInput:
    """The lines of a stream that cannot be read a second time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.blake2b(digest_size=16)
        self._num_bytes = 0
        self.is_read = False
        """Whether it came to its end."""

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            self._num_bytes += len(line)
            self._hash.update(line)
            yield line
        self.is_read = True

    def digest(self) -> str | None:
        """Of all its content, what is left of it read and dropped; None if there was none."""
        for _ in self:
            pass
        return describe_content(self._num_bytes, self._hash.digest()) if self._num_bytes else None


def describe_content(num_bytes: int, digest: bytes) -> str:
    """Size and blake2b of a file or stream, as a plan has them."""
    return f"{num_bytes} bytes, blake2b {digest.hex()}"
