"""Reads from a training's output folder what a registered version keeps: run, metrics, files."""

from pathlib import Path
from typing import Any

from bert_tf.system.json_files import read_model
from bert_tf.system.lookalikes import path_hint
from bert_tf.tracking.tracker import run_id_of

# What a training leaves that belongs with its model.
_FILES = (
    "config.yaml",
    "model.json",
    "metrics.json",
    "vocab.txt",
    "data_profile.json",
    "provenance.json",
)
_REPORTS = ("*.png", "*.md")
"""Pictures and tables of its task."""


def read_training(run_dir: str | Path) -> dict[str, Any]:
    """`run_id`, `metrics` and `files`, as `register` takes them.

    Raises:
        FileNotFoundError: the folder has nothing of a training.
    """
    run_dir = Path(run_dir)
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
