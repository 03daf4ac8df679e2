"""Reads and writes the small JSON files in which steps note what they did."""

import json
from pathlib import Path
from typing import Any

from bert_tf.system import json_files
from bert_tf.system.files import write_whole

RUN_ANEW = "Remove it, and run the flow again."


def read_json(path: Path) -> dict[str, Any]:
    """A file that `write_json` wrote."""
    content: dict[str, Any] = json_files.read_json(path, what="a note of a step", to_do=RUN_ANEW)
    return content


def write_json(file: Path, **content: Any) -> Path:
    """Whole or not at all."""
    return write_whole(file, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
