"""Standard input as a corpus: read once, its bytes counted and digested on the way."""

import hashlib
from typing import BinaryIO

STANDARD_INPUT = "-"
"""What `corpus.paths` calls it."""
NAME = "standard input"
"""What messages and plans call it."""
READ_BYTES = 1 << 16


class StandardInput:
    """A stream that cannot be read a second time."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.blake2b(digest_size=16)
        self._num_bytes = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        content = self._stream.read(size)
        self._num_bytes += len(content)
        self._hash.update(content)
        return content

    def digest(self) -> str | None:
        """Of all its content, what is left of it read and dropped; None if there was none."""
        while self.read(READ_BYTES):
            pass
        return describe_content(self._num_bytes, self._hash.digest()) if self._num_bytes else None


def describe_content(num_bytes: int, digest: bytes) -> str:
    """Size and blake2b of a file or stream, as a plan has them."""
    return f"{num_bytes} bytes, blake2b {digest.hex()}"
