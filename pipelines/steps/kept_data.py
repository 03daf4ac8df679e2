"""Keeps the data that trainings read, so that a version can be trained again much later.

    FLOW_DIR/data/20261126T031502-9f86d081884c7d65.jsonl    a file
    FLOW_DIR/data/20261126T031504-60303ae22b998861/         a folder of records

They are hard links: no space is taken until the step is done anew. Equal content is kept once.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from bert_tf.system.files import file_sha256
from pipelines.engine.step import Context

FOLDER = "data"


def kept(source: Path, context: Context) -> Path:
    """Where `source`, a file or a folder of records, is kept from now on.

    The newest `flow.keep_data` of all that is kept stay.
    """
    from bert_tf.data.records import MANIFEST_FILE  # with it comes TensorFlow

    folder = context.directory.parents[1] / FOLDER
    folder.mkdir(exist_ok=True)
    digest = file_sha256(source / MANIFEST_FILE if source.is_dir() else source)[:16]
    found = sorted(folder.glob(f"[0-9]*-{digest}*"))
    if found:
        return found[-1]
    target = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{digest}{source.suffix}"
    hidden = folder / f".{target.name}"
    if source.is_dir():
        hidden.mkdir()
        for path in source.iterdir():
            if path.is_file() and not path.name.startswith("."):
                os.link(path, hidden / path.name)
    else:
        os.link(source, hidden)
    hidden.rename(target)
    for old in sorted(folder.glob("[0-9]*"))[: -context.config.flow.keep_data]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    return target
