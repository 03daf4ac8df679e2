"""Where the numbers of a run go: TensorBoard, the tracker, `metrics.json`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import tensorflow as tf

from bert_tf.training.tracking import Tracker

METRICS_FILE = "metrics.json"


class MetricsLog:
    """Sends the metrics of a step to TensorBoard (`OUTPUT_DIR/tensorboard`) and the tracker."""

    def __init__(self, output_dir: str | Path, *, tracker: Tracker):
        self._tracker = tracker
        self._writer = tf.summary.create_file_writer(str(Path(output_dir) / "tensorboard"))

    def __call__(self, metrics: dict[str, float], step: int) -> None:
        self._tracker.log_metrics(metrics, step=step)
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._writer.close()


def save_metrics(metrics: Mapping[str, float], output_dir: str | Path, *, tracker: Tracker) -> None:
    """Write `metrics.json`, and hand it with configuration and tokenizer to the tracker."""
    output_dir = Path(output_dir)
    path = output_dir / METRICS_FILE
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
    tracker.log_metrics({f"final/{name}": value for name, value in metrics.items()}, step=0)
    for name in ("config.yaml", "vocab.txt", "tokenizer.json", "model.json", METRICS_FILE):
        tracker.log_artifact(output_dir / name)
