"""Files that appear whole or not at all."""

import os
from pathlib import Path


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write `content` (text as UTF-8) under a hidden name, then rename it to `path`."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
