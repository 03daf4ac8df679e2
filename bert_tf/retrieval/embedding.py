"""Texts in, the file of their embeddings out, which a run that was killed goes on with."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bert_tf.data.tables.writing import json_lines
from bert_tf.exporting.embed_table import embed_table
from bert_tf.exporting.predict_table import OnProgress
from bert_tf.system.files import file_sha256, write_whole

TEXT = "text"


def embedded_texts(
    saved_model_dir: str | Path,
    texts: Sequence[str],
    output: Path,
    *,
    signature_name: str,
    on_progress: OnProgress | None,
) -> Path:
    """Write the embeddings of texts, of length 1; what is there of these texts is not made again.

    The texts stand beside the output, by which a run that goes on knows them.
    """
    source = output.with_suffix(".jsonl")
    wanted = source.with_suffix(".new.jsonl")
    _write_texts(texts, wanted)
    if source.is_file() and file_sha256(source) == file_sha256(wanted):
        wanted.unlink()  # the file's time is what a run that goes on knows it by
        if output.is_file():
            return output
    else:
        output.unlink(missing_ok=True)
        wanted.replace(source)
        shutil.rmtree(output.with_name(f".{output.name}.partial"), ignore_errors=True)
    return embed_table(
        saved_model_dir,
        str(source),
        output,
        text_field=TEXT,
        signature_name=signature_name,
        normalize=True,
        on_progress=on_progress,
    )


def _write_texts(texts: Sequence[str], path: Path) -> None:
    write_whole(path, "".join(f"{line}\n" for line in json_lines({TEXT: texts})))
