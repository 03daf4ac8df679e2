"""Metrics of labelled spans: F1 of entities and of their characters, accuracy of words.

    spans.span_outcomes -> outcomes -> metrics, label_rows, confusion_rows

A predicted span is right if start, end and label are those of a true one. Ratios of nothing to
nothing are 0 and means of nothing are NaN, as in seqeval, whose micro and macro averages these are:
its strict mode and its default one are the same where spans are given, and tags follow from them.

Letters in shapes: E examples, L labels, T tags of characters (2L + 1, see `spans.character_tags`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bert_tf.metrics.counts import Counts
from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.spans import (
    Spans,
    character_tags,
    predicted_spans,
    same_places,
    true_spans,
)


def label_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each label: `name`, `support`, `predicted`, `precision`, `recall`, `f1`.

    `support` and `predicted` count spans. `pictures.draw_label_bars` draws the rows, with
    `counted="spans"`.
    """
    counts = _count(outcomes, None)
    precision, recall, f1 = counts.precision(), counts.recall(), counts.f1()
    return [
        {
            "name": name,
            "support": int(counts.support[label]),
            "predicted": int(counts.predicted[label]),
            "precision": float(precision[label]),
            "recall": float(recall[label]),
            "f1": float(f1[label]),
        }
        for label, name in enumerate(outcomes.names)
    ]


def confusions(outcomes: Outcomes) -> Any:
    """True labels by predicted ones of spans found with the right start and end, sparse (L, L).

    `pictures.draw_confusion_matrix` draws it.
    """
    true, predicted = outcomes.derive(same_places)
    num_labels = len(outcomes.names)
    matrix = _sparse(true.labels, predicted.labels, shape=(num_labels, num_labels))
    return matrix.astype(np.int64).tocoo()


def confusion_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """Which label is taken for which, the most frequent first: a row for each two labels.

    `true`, `predicted`, `spans` (with the right start and end, and the wrong label) and `share`,
    of the true spans of that label. Pairs that do not occur have no row.
    """
    cells = confusions(outcomes)
    support = _count(outcomes, None).support
    wrong = [
        (int(count), int(true), int(predicted))
        for count, true, predicted in zip(cells.data, cells.row, cells.col, strict=True)
        if true != predicted
    ]
    return [
        {
            "true": outcomes.names[true],
            "predicted": outcomes.names[predicted],
            "spans": count,
            "share": float(count / support[true]),
        }
        for count, true, predicted in sorted(wrong, key=lambda cell: (-cell[0], *cell[1:]))
    ]


def _micro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return float(_total(outcomes, weights).f1()[0])


def _precision(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return float(_total(outcomes, weights).precision()[0])


def _recall(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return float(_total(outcomes, weights).recall()[0])


def _macro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _mean_of_present(_count(outcomes, weights))


def _exact_match(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return weighted_mean(outcomes.derive(_is_exact), weights)


def _token_accuracy(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    counts = _total(outcomes, weights)
    return float(counts.recall()[0]) if counts.support[0] else float("nan")


def _character_macro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    counts = _count_characters(outcomes, weights)
    return _mean_of_present(Counts(counts.hits[:-1], counts.support[:-1], counts.predicted[:-1]))


def _klue_character_macro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    counts = _count_characters(outcomes, weights)
    if not counts.support.sum():
        return float("nan")
    return float(np.where(_is_present(counts), counts.f1(), 1.0).mean())


MICRO_F1 = Metric(
    name="micro_f1", title="micro-F1 of spans", is_higher_better=True, score=_micro_f1
)
"""F1 of all spans as if they had one label. 0 where there are none and none are predicted."""

MACRO_F1 = Metric(
    name="macro_f1", title="macro-F1 of spans", is_higher_better=True, score=_macro_f1
)
"""Mean of the labels' F1 scores; a label that is neither there nor predicted is left out.

NaN if all are. On KLUE's spans its official entity F1.
"""

PRECISION = Metric(name="precision", title="precision", is_higher_better=True, score=_precision)
"""Share of the predicted spans that are right. 0 of none."""

RECALL = Metric(name="recall", title="recall", is_higher_better=True, score=_recall)
"""Share of the true spans that are found. 0 of none."""

EXACT_MATCH = Metric(
    name="exact_match", title="exact match", is_higher_better=True, score=_exact_match
)
"""Share of texts with the right spans and no others, none included. NaN of no texts."""

TOKEN_ACCURACY = Metric(
    name="token_accuracy", title="accuracy of words", is_higher_better=True, score=_token_accuracy
)
"""Share of the words with the right label, where each word is a span, as of parts of speech.

A word that the model divides otherwise is wrong. NaN of no words.
"""

CHARACTER_MACRO_F1 = Metric(
    name="character_macro_f1",
    title="macro-F1 of characters",
    is_higher_better=True,
    score=_character_macro_f1,
)
"""Mean of the F1 scores of the tags B- and I- of each label over characters without spaces.

O is left out, and tags that are neither there nor predicted; NaN if all are: scikit-learn's macro
average over the tags that are there, but O.
"""

KLUE_CHARACTER_MACRO_F1 = Metric(
    name="klue_character_macro_f1",
    title="macro-F1 of characters and O (KLUE)",
    is_higher_better=True,
    score=_klue_character_macro_f1,
)
"""As `character_macro_f1`, O among the tags, and 1 for a tag neither there nor predicted.

That is what KLUE-baseline computes (`klue_ner_char_macro_f1` in metrics/functional.py),
although it says "except O tag": figures that were made with it compare with this. It counts an O
for [CLS] and [SEP] of each text, too, stops where a text is cut, and has an I- that no B- precedes
as the model gave it; here every character counts, and all tags are those of spans. NaN of no
characters.
"""


def _total(outcomes: Outcomes, weights: np.ndarray | None) -> Counts:
    """Counts of all labels together, (1,)."""
    of_examples = outcomes.derive(_count_examples)
    sums = of_examples.sum(axis=1) if weights is None else of_examples @ weights
    return Counts(*sums[:, np.newaxis])


def _count_examples(outcomes: Outcomes) -> np.ndarray:
    """Right, true and predicted spans of each example, (3, E)."""
    groups = outcomes.derive(_right_true_predicted)
    return np.stack([np.bincount(spans.examples, minlength=len(outcomes)) for spans in groups])


def _count(outcomes: Outcomes, weights: np.ndarray | None) -> Counts:
    """Counts of each label, (L,)."""
    return _weighted(outcomes.derive(_labels_of_examples), weights)


def _labels_of_examples(outcomes: Outcomes) -> list[Any]:
    """Right, true and predicted spans by label, sparse (L, E) each."""
    shape = (len(outcomes.names), len(outcomes))
    groups = outcomes.derive(_right_true_predicted)
    return [_sparse(spans.labels, spans.examples, shape=shape) for spans in groups]


def _right_true_predicted(outcomes: Outcomes) -> Sequence[Spans]:
    true, predicted = outcomes.derive(same_places)
    right = true.take(np.flatnonzero(true.labels == predicted.labels))
    return right, outcomes.derive(true_spans), outcomes.derive(predicted_spans)


def _count_characters(outcomes: Outcomes, weights: np.ndarray | None) -> Counts:
    """Counts of each tag, (T,)."""
    return _weighted(outcomes.derive(_tags_of_examples), weights)


def _tags_of_examples(outcomes: Outcomes) -> list[Any]:
    """Right, true and predicted characters by tag, sparse (T, E) each."""
    examples, true, predicted = character_tags(outcomes)
    shape = (2 * len(outcomes.names) + 1, len(outcomes))
    is_right = true == predicted
    return [
        _sparse(true[is_right], examples[is_right], shape=shape),
        _sparse(true, examples, shape=shape),
        _sparse(predicted, examples, shape=shape),
    ]


def _sparse(rows: np.ndarray, columns: np.ndarray, *, shape: tuple[int, int]) -> Any:
    """How often each pair of row and column is there, a sparse matrix of float64."""
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()


def _weighted(matrices: Sequence[Any], weights: np.ndarray | None) -> Counts:
    """Sums over the examples, the columns of three matrices."""
    if weights is None:
        weights = np.ones(matrices[0].shape[1])
    return Counts(*(matrix @ weights for matrix in matrices))


def _is_exact(outcomes: Outcomes) -> np.ndarray:
    return np.asarray(outcomes.targets == outcomes.predictions, bool)


def _is_present(counts: Counts) -> np.ndarray:
    return counts.support + counts.predicted > 0


def _mean_of_present(counts: Counts) -> float:
    f1 = counts.f1()[_is_present(counts)]
    return float(f1.mean()) if len(f1) else float("nan")
