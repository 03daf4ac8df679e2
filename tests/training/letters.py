"""A small corpus of letters, for tests of runs on prepared records."""

import random
from pathlib import Path

WORDS = "abcdefghij"


def write_documents(path: Path, draw: random.Random) -> None:
    """60 documents of 8 lines of 6 letters."""
    documents = ["\n".join(" ".join(draw.choices(WORDS, k=6)) for _ in range(8)) for _ in range(60)]
    path.write_text("\n\n".join(documents), encoding="utf-8")
