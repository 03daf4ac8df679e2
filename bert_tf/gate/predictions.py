"""What a SavedModel says about labelled texts, and what that takes."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.data.batches.tasks import LabelledText
from bert_tf.data.inspection.text_profile import NUM_SPECIAL_TOKENS, TextProfile
from bert_tf.export.predict import text_batches
from bert_tf.export.signatures import DEFAULT
from bert_tf.export.version_folders import newest_version

_BATCH_SIZE = 32
_NUM_TIMED = 50
_NUM_UNTIMED = 5


@dataclass(frozen=True, eq=False)
class Answers:
    """One model on one set of texts."""

    classes: tuple[str, ...]
    labels: np.ndarray
    """(texts,) int, the right classes."""
    probabilities: np.ndarray
    """(texts, classes) float32."""
    lengths: np.ndarray
    """(texts,) int, tokens without [CLS] and [SEP], as the model is given them."""
    profile: TextProfile
    latency_ms: float
    """Median of single texts, in this process."""
    size_bytes: int
    """Of the SavedModel's folder."""

    @property
    def predictions(self) -> np.ndarray:
        """(texts,) int."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def is_right(self) -> np.ndarray:
        """(texts,) bool."""
        return np.asarray(self.predictions == self.labels)


def ask(saved_model_dir: str | Path, texts: LabelledText) -> Answers:
    """Answers of a classifier that `bert-tf export` wrote.

    Raises:
        FileNotFoundError: no SavedModel.
        ValueError: it is no classifier, takes pairs where there are none, or reverse, or does not
            know a label.
    """
    directory = newest_version(saved_model_dir)
    model = tf.saved_model.load(str(directory))
    classify = _classifier(directory, model, has_pairs=texts.text_pairs is not None)
    columns = {"text": texts.texts}
    if texts.text_pairs is not None:
        columns["text_pair"] = texts.text_pairs
    answers = [
        {name: value.numpy() for name, value in classify(**batch).items()}
        for batch in text_batches(columns, batch_size=_BATCH_SIZE)
    ]
    classes = tuple(name.decode() for name in answers[0]["labels"][0])
    lengths, num_unknown = _token_counts(model, texts)
    return Answers(
        classes=classes,
        labels=_class_ids(texts, classes, directory),
        probabilities=np.concatenate([answer["probabilities"] for answer in answers]),
        lengths=lengths,
        profile=TextProfile.of(lengths=lengths, num_unknown=num_unknown, labels=texts.labels),
        latency_ms=_latency_ms(classify, columns),
        size_bytes=sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()),
    )


def _classifier(directory: Path, model: Any, *, has_pairs: bool) -> Any:
    function = model.signatures[DEFAULT]
    wanted = {"text", "text_pair"} if has_pairs else {"text"}
    taken = set(function.structured_input_signature[1])
    if "probabilities" not in function.structured_outputs or taken != wanted:
        raise ValueError(
            f"{directory}: a classifier of {sorted(wanted)} is needed. Received: a model that "
            f"takes {sorted(taken)} and gives {sorted(function.structured_outputs)}."
        )
    return function


def _class_ids(texts: LabelledText, classes: Sequence[str], directory: Path) -> np.ndarray:
    ids = {name: number for number, name in enumerate(classes)}
    for row, label in enumerate(texts.labels):
        if label not in ids:
            raise ValueError(
                f"{texts.where(row)}: a label must be one of the model's, "
                f"{', '.join(classes)} ({directory}). Received: {label!r}."
            )
    return np.array([ids[label] for label in texts.labels])


def _token_counts(model: Any, texts: LabelledText) -> tuple[np.ndarray, int]:
    """Tokens of each first text, and [UNK] among all of them."""
    tokenize = model.signatures["tokenize"]
    lengths, num_unknown = [], 0
    for batch in text_batches({"text": texts.texts}, batch_size=_BATCH_SIZE):
        tokens = tokenize(**batch)
        lengths.append(tokens["input_mask"].numpy().sum(axis=1) - NUM_SPECIAL_TOKENS)
        num_unknown += int((tokens["tokens"].numpy() == b"[UNK]").sum())
    return np.concatenate(lengths), num_unknown


def _latency_ms(classify: Any, columns: dict[str, list[str]]) -> float:
    singles = list(itertools.islice(text_batches(columns, batch_size=1), _NUM_TIMED))
    for single in singles[:_NUM_UNTIMED]:
        classify(**single)["label"].numpy()
    seconds = []
    for single in singles:
        started = time.perf_counter()
        classify(**single)["label"].numpy()
        seconds.append(time.perf_counter() - started)
    return 1e3 * statistics.median(seconds)
