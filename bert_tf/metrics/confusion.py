"""The confusion matrix of a classifier: counts, F1 scores, and a picture for people."""

import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from bert_tf.metrics.statistics import METRICS, bootstrap, confusion_matrix, f1_scores

log = logging.getLogger(__name__)

CONFUSION_MATRIX_FILE = "confusion_matrix.png"
DEFAULT_FONT = "DejaVu Sans"


def report_classes(
    model: keras.Model,
    batches: tf.data.Dataset,
    class_names: Sequence[str],
    output_dir: str | Path,
) -> dict[str, float]:
    """F1 scores over one pass, and the confusion matrix as a picture in `output_dir`.

    Of accuracy and macro-F1 also the 95 % bootstrap interval, `NAME_low` and `NAME_high`.
    """
    predict = tf.function(
        lambda batch: tf.argmax(model(batch, training=False), axis=-1),
        input_signature=[batches.element_spec],  # any length: one graph
    )
    true: list[int] = []
    predicted: list[int] = []
    for batch in batches:
        is_real = batch["weights"].numpy() > 0
        true += batch["labels"].numpy()[is_real].tolist()
        predicted += predict(batch).numpy()[is_real].tolist()
    names = class_names
    labels, predictions, num_classes = np.array(true), np.array(predicted), len(names)
    matrix = confusion_matrix(labels, predictions, num_classes=num_classes)
    scores = f1_scores(matrix)
    path = Path(output_dir) / CONFUSION_MATRIX_FILE
    title = f"accuracy {np.trace(matrix) / matrix.sum():.3f} on {matrix.sum():,} texts"
    draw_confusion_matrix(matrix, names, path, title=title)
    metrics = {"macro_f1": float(scores.mean())}
    for name in METRICS:
        interval = bootstrap(name, labels, predictions, num_classes=num_classes)
        key = "classification_accuracy" if name == "accuracy" else name
        metrics |= {f"{key}_low": interval.low, f"{key}_high": interval.high}
    if len(names) == 2:
        metrics["f1"] = float(scores[1])
    return metrics


def draw_confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], path: str | Path, *, title: str
) -> None:
    """A picture of a confusion matrix, shares of the true class as colour, counts as text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, fonts = _drawable(class_names)
    size = 2.5 + 0.7 * len(names)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", family=fonts)
    axes.set_yticks(range(len(names)), names, family=fonts)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, label="share of the true class")
    figure.savefig(path, dpi=120)


def _drawable(class_names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names and the fonts that have their characters; numbered names where none has."""
    from matplotlib import font_manager

    needed = {ord(character) for name in class_names for character in name}
    missing = needed - _characters(font_manager.findfont(DEFAULT_FONT))
    if not missing:
        return list(class_names), [DEFAULT_FONT]
    for font in font_manager.fontManager.ttflist:
        if not font.name.startswith("Last Resort") and missing <= _characters(font.fname):
            return list(class_names), [DEFAULT_FONT, font.name]
    log.warning(
        "The picture numbers the classes: a font with the characters of %s must be installed. "
        "Received: none. Install one, such as Noto Sans CJK.",
        ", ".join(class_names),
    )
    return [f"class {index}" for index in range(len(class_names))], [DEFAULT_FONT]


def _characters(font_path: str) -> set[int]:
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(font_path).get_charmap())
