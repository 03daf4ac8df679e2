"""Reads and writes the small JSON files in which steps note what they did."""

import json
from pathlib import Path
from typing import Any

from bert_tf.system.files import write_whole


def read_json(path: Path) -> dict[str, Any]:
    """A file that `write_json` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_json(file: Path, **content: Any) -> Path:
    """Whole or not at all."""
    return write_whole(file, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
