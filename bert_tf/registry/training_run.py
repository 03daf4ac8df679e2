"""Reads from a training's output folder what a registered version keeps: run, metrics, files."""

from pathlib import Path
from typing import Any

from bert_tf.data.text.tokenizer import VOCABULARY_FILES
from bert_tf.system.json_files import read_model
from bert_tf.system.lookalikes import path_hint
from bert_tf.system.output_folder import noted_owner
from bert_tf.tracking.tracker import run_id_of

# What a training leaves that belongs with its model.
_FILES = (
    "config.yaml",
    "model.json",
    "metrics.json",
    *VOCABULARY_FILES,
    "data_profile.json",
    "provenance.json",
)
_REPORTS = ("*.png", "*.md")
"""Pictures and tables of its task."""


_DESCRIPTION = "model.json"


def read_training(run_dir: str | Path, *, saved_model: Path | None = None) -> dict[str, Any]:
    """`run_id`, `metrics` and `files`, as `register` takes them.

    Args:
        saved_model: what is to be registered, which must be an export of that training.

    Raises:
        FileNotFoundError: the folder has nothing of a training.
        ValueError: it is the folder of another command, or of another model's training.
    """
    run_dir = Path(run_dir)
    owner = noted_owner(run_dir)
    if owner not in (None, "pretrain", "finetune", "convert"):
        raise ValueError(
            f"{run_dir}: must be the output folder of a training. Received: one of `bert-tf "
            f"{owner}`. Give the --output-dir of `bert-tf finetune` or `bert-tf pretrain`."
        )
    if saved_model is not None:
        ours, theirs = run_dir / _DESCRIPTION, saved_model / "assets.extra" / _DESCRIPTION
        if ours.is_file() and theirs.is_file() and ours.read_bytes() != theirs.read_bytes():
            raise ValueError(
                f"{run_dir}: must be the training that {saved_model} was exported from. Received: "
                f"another {_DESCRIPTION}. Give its --output-dir, or export this one."
            )
    run_id = run_id_of(run_dir)
    files = [run_dir / name for name in _FILES if (run_dir / name).is_file()]
    files += sorted(path for kind in _REPORTS for path in run_dir.glob(kind))
    if run_id is None and not files:
        raise FileNotFoundError(
            f"{run_dir}: must be the output folder of a training. "
            f"Received: a folder without {', '.join(_FILES)} and without a tracked run. "
            "Give the --output-dir of `bert-tf finetune` or `bert-tf pretrain`."
            f"{path_hint(run_dir)}"
        )
    metrics_file = run_dir / "metrics.json"
    has_metrics = metrics_file in files
    what = "a file of metrics"
    metrics = read_model(metrics_file, dict[str, float], what=what) if has_metrics else {}
    return {"run_id": run_id, "metrics": metrics, "files": files}
