"""Texts in, the file of their embeddings out, which a run that was killed goes on with."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from bert_tf.data.tables.writing import json_lines
from bert_tf.exporting.embed_table import embed_table
from bert_tf.exporting.predict_table import OnProgress, file_state
from bert_tf.exporting.version_folders import SAVED_MODEL_FILE, newest_version
from bert_tf.system.files import write_whole

TEXT = "text"


def embedded_texts(
    saved_model_dir: str | Path,
    texts: Sequence[str],
    output: Path,
    *,
    signature_name: str,
    on_progress: OnProgress | None,
) -> Path:
    """Write the embeddings of texts, of length 1, as a .parquet.

    What is there of these texts and this model is not made again: both are noted beside it.
    """
    source, note = output.with_suffix(".jsonl"), output.with_suffix(".json")
    lines = "".join(f"{line}\n" for line in json_lines({TEXT: texts}))
    model = newest_version(saved_model_dir) / SAVED_MODEL_FILE
    made_of = {
        "texts_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "model": file_state(model),
        "signature": signature_name,
    }
    if not note.is_file() or json.loads(note.read_text("utf-8")) != made_of:
        output.unlink(missing_ok=True)
        shutil.rmtree(output.with_name(f".{output.name}.partial"), ignore_errors=True)
        write_whole(source, lines)
        write_whole(note, json.dumps(made_of))
    if output.is_file():
        return output
    return embed_table(
        saved_model_dir,
        str(source),
        output,
        text_field=TEXT,
        signature_name=signature_name,
        normalize=True,
        on_progress=on_progress,
    )
