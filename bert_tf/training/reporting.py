"""Where the numbers of a run go: TensorBoard, the tracker, `metrics.json`, pictures."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf

from bert_tf.training.tracking import Tracker

METRICS_FILE = "metrics.json"
CONFUSION_MATRIX_FILE = "confusion_matrix.png"


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


def confusion_matrix(
    labels: Sequence[int], predictions: Sequence[int], *, num_classes: int
) -> np.ndarray:
    """Counts, (classes, classes): rows are true classes, columns predicted ones."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (np.asarray(labels), np.asarray(predictions)), 1)
    return matrix


def f1_scores(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class, (classes,), 0 where a class was neither there nor predicted."""
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.divide(2.0 * np.diag(matrix), both, out=np.zeros(len(matrix)), where=both > 0)


def draw_confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], path: str | Path, *, title: str
) -> None:
    """A picture of a confusion matrix, shares of the true class as colour, counts as text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = 2.5 + 0.7 * len(class_names)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(class_names)), class_names, rotation=45, ha="right")
    axes.set_yticks(range(len(class_names)), class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, label="share of the true class")
    figure.savefig(path, dpi=120)
