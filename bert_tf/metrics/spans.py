"""Labelled spans of texts as outcomes, and as arrays to count.

    true and predicted spans, texts -> span_outcomes -> true_spans, predicted_spans, character_tags

A span is `(start, end, label)`, half-open, in code points of its text: of "이순신 장군" the name is
`(0, 3, "PS")`. The spans of a text are in order, none is empty, no two overlap.

Letters in shapes: E examples, N spans, M spans found twice, C characters, L labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from bert_tf.metrics.outcomes import Outcomes, object_array
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint

Span = tuple[int, int, str]
"""Where it starts, where it ends, its label."""


@dataclass(frozen=True)
class Spans:
    """Spans of all examples, one after another; each array (N,) int."""

    examples: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    """Ids in the outcomes' names."""

    def take(self, rows: np.ndarray) -> "Spans":
        """Some of them; `rows` are indices."""
        return Spans(self.examples[rows], self.starts[rows], self.ends[rows], self.labels[rows])


def span_outcomes(
    targets: Sequence[Iterable[Span]],
    *,
    predictions: Sequence[Iterable[Span]],
    texts: Sequence[str],
    names: Sequence[str],
) -> Outcomes:
    """True and predicted spans of E texts as outcomes.

    Args:
        names: the model's labels, without O. Their order has no influence on targets and
            predictions, which hold names: the outcomes of two models are of the same examples
            where their targets are equal.

    Raises:
        ValueError: there is not a list of spans for each text, or a span is outside of its text,
            empty, out of order, overlaps the one before, or has a label that is not in `names`.
    """
    if not len(targets) == len(predictions) == len(texts):
        raise ValueError(
            "Each text must have its true and its predicted spans, if only an empty list. "
            f"Received: {len(texts)} texts, {len(targets)} and {len(predictions)} lists of spans. "
            "Make all from the same examples."
        )
    return Outcomes(
        targets=_checked(targets, what="true", texts=texts, names=names),
        predictions=_checked(predictions, what="predicted", texts=texts, names=names),
        names=tuple(names),
        texts=object_array(texts),
    )


def true_spans(outcomes: Outcomes) -> Spans:
    """All targets, (N,)."""
    return _flat(outcomes.targets, outcomes.names)


def predicted_spans(outcomes: Outcomes) -> Spans:
    """All predictions, (N,)."""
    return _flat(outcomes.predictions, outcomes.names)


def same_places(outcomes: Outcomes) -> tuple[Spans, Spans]:
    """True spans, and the predicted ones with the same start and end, whatever their labels, (M,).

    What has the same label, too, is right.
    """
    true, predicted = outcomes.derive(true_spans), outcomes.derive(predicted_spans)
    # Spans of a text do not overlap, so no two of them start at the same place.
    width = 1 + max(true.starts.max(initial=0), predicted.starts.max(initial=0))
    _, ours, theirs = np.intersect1d(
        true.examples * width + true.starts,
        predicted.examples * width + predicted.starts,
        assume_unique=True,
        return_indices=True,
    )
    is_same = true.ends[ours] == predicted.ends[theirs]
    return true.take(ours[is_same]), predicted.take(theirs[is_same])


def character_tags(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each character but spaces its example, its true and its predicted tag, (C,) int each.

    Tag 2l is B- of label l, the first character of a span, 2l + 1 is I-, any other one, and 2L is
    O, outside of all spans. Spaces (U+0020) have no tags, as in KLUE's data; of a span that
    starts with one the next character is the first.

    Raises:
        ValueError: the outcomes have no texts.
    """
    if outcomes.texts is None:
        raise ValueError(
            "Characters are counted in texts. Received: outcomes without texts. Make them with "
            "`span_outcomes`."
        )
    lengths = np.array([len(text) for text in outcomes.texts], np.int64)
    points = "".join(outcomes.texts).encode("utf-32-le", "surrogatepass")
    is_shown = np.frombuffer(points, "<u4") != ord(" ")
    firsts = np.cumsum(lengths) - lengths
    examples = np.repeat(np.arange(len(lengths)), lengths)[is_shown]
    options: dict[str, Any] = {
        "firsts": firsts,
        "is_shown": is_shown,
        "num_labels": len(outcomes.names),
    }
    of_targets = _tags(outcomes.derive(true_spans), **options)
    return examples, of_targets, _tags(outcomes.derive(predicted_spans), **options)


def _tags(spans: Spans, *, firsts: np.ndarray, is_shown: np.ndarray, num_labels: int) -> np.ndarray:
    """Tags of the characters that are shown; `firsts` (E,): where a text begins among all."""
    lengths = spans.ends - spans.starts
    begins = firsts[spans.examples] + spans.starts
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    owners = np.full(len(is_shown), -1)
    owners[np.repeat(begins, lengths) + within] = np.repeat(np.arange(len(lengths)), lengths)
    owners = owners[is_shown]
    is_further = (owners >= 0) & (np.diff(owners, prepend=-1) == 0)
    labels = np.append(spans.labels, num_labels)  # the last one is of characters without owner, -1
    return 2 * labels[owners] + is_further


def _flat(spans_of_texts: np.ndarray, names: Sequence[str]) -> Spans:
    ids = {name: number for number, name in enumerate(names)}
    rows = [
        (example, start, end, ids[label])
        for example, spans in enumerate(spans_of_texts)
        for start, end, label in spans
    ]
    return Spans(*np.array(rows, np.int64).reshape(-1, 4).T)


def _checked(
    spans_of_texts: Sequence[Iterable[Span]],
    *,
    what: str,
    texts: Sequence[str],
    names: Sequence[str],
) -> np.ndarray:
    """(E,) object: a tuple of spans each."""
    known = frozenset(names)
    checked = []
    for number, (spans, text) in enumerate(zip(spans_of_texts, texts, strict=True)):
        spans = tuple((index(start), index(end), label) for start, end, label in spans)
        last = 0
        for start, end, label in spans:
            if not last <= start < end <= len(text):
                raise ValueError(
                    f"The {what} spans of a text must lie in it, in order, with a character or "
                    f"more each, and must not overlap. Received: ({start}, {end}) after {last}, in "
                    f"text {number} of {len(text)} characters. Sort them, and drop what overlaps."
                )
            if label not in known:
                raise ValueError(
                    f"A label must be one of {listed(names)}. Received: {label!r}, of a {what} "
                    f"span in text {number}. Name every label.{alike_hint(label, names)}"
                )
            last = end
        checked.append(spans)
    return object_array(checked)
