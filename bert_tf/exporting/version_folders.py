"""The versions of a model on disk, `BASE/NAME/VERSION`: found, and put into place whole.

TF Serving looks for folders whose names are whole numbers and may load one the moment it appears;
so a version is written under a hidden name and renamed when it is whole.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_text
from bert_tf.system.listing import MAX_ITEMS
from bert_tf.system.lookalikes import path_hint

log = logging.getLogger(__name__)

HIGHEST_FILE = ".highest_version"
SAVED_MODEL_FILE = "saved_model.pb"


def version_numbers(base: Path) -> list[int]:
    """In rising order."""
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal())


def listed_versions(versions: Iterable[int]) -> str:
    """Versions as messages tell them, in rising order: the newest, and how many are before them."""
    numbers = sorted(versions)
    num_before = max(0, len(numbers) - MAX_ITEMS)
    shown = ", ".join(map(str, numbers[num_before:])) or "none"
    return f"{num_before:,} older and {shown}" if num_before else shown


def newest_version(directory: str | Path) -> Path:
    """`directory` where it is a SavedModel, or the highest version below it."""
    directory = Path(directory)
    versions = version_numbers(directory)
    newest = directory / str(versions[-1]) if versions else directory
    if not (newest / SAVED_MODEL_FILE).is_file():
        raise FileNotFoundError(
            f"{directory}: must be a SavedModel, or a folder of numbered versions. Received: "
            f"neither. Give a folder that `bert-tf export` wrote.{path_hint(directory)}"
        )
    return newest


def saved_model_file(directory: str | Path) -> Path:
    """The file of a SavedModel folder that holds its graph.

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(directory) / SAVED_MODEL_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{directory}: a SavedModel folder must hold {SAVED_MODEL_FILE}. Received: none. Give "
            f"the folder that `bert-tf export` wrote, version included.{path_hint(directory)}"
        )
    return path


def _recorded(record: Path) -> int:
    """The highest number that was ever used, as `publish` noted it."""
    if not record.is_file():
        return 0
    text = read_text(record, what="the highest version used").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError(
            f"{record}: must hold the highest version number ever used here. Received: "
            f"{text[:40]!r}. Write that number into it; no number may be used twice."
        )
    return int(text)


def publish(temporary: Path, base: Path) -> Path:
    """Rename a finished folder to the next number; where another took that, to the one after.

    A number is never used twice, not even when its version has been removed: a server would not
    see that it is another.
    """
    recorded = _recorded(base / HIGHEST_FILE)
    version = max([recorded, *version_numbers(base)]) + 1
    while True:
        target = base / str(version)
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():
                raise
            version += 1
        else:
            write_whole(base / HIGHEST_FILE, str(version))
            log.info("%s is there.", target)
            return target
