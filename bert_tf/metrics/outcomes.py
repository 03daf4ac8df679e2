"""Targets, predictions and scores of a model on labelled examples: what every metric reads.

Letters in shapes: E examples, C classes, L labels, U different outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes:
    """What a model answered on E examples, beside what is true.

    Classification: `targets` and `predictions` (E,) int, ids in `names`. Several labels at once:
    both (E, L) bool, one column for each of `names`. Regression: both (E,) float, no names.
    Labelled spans: both (E,) object, of each example a tuple of `(start, end, label)`, of which the
    labels are among `names`, and the texts (made by `spans.span_outcomes`). Answers to questions:
    both (E,) object, of each question a tuple of the texts of its answers, empty where it has none,
    and the predicted text, empty for no answer; the texts are the questions, the scores how much
    better no answer is than the best one (made by `answers.answer_outcomes`).

    Raises:
        ValueError: the arrays are not about the same examples, or the scores not about `names`.
    """

    targets: np.ndarray
    """(E, ...)"""
    predictions: np.ndarray
    """Of the same shape as the targets, or (E,)."""
    scores: np.ndarray | None = None
    """Probabilities of the classes, (E, C), or of the labels, (E, L), or one number each, (E,)."""
    names: tuple[str, ...] = ()
    """Of the classes or labels."""
    texts: np.ndarray | None = None
    """(E,) object, str each, where metrics count characters or slices ask for them."""
    candidates: np.ndarray | None = None
    """(E,) object, the best answer of each question, also where none is predicted."""
    _derived: dict[Callable, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        shape = self.targets.shape
        if self.predictions.shape not in (shape, shape[:1]):
            raise ValueError(
                "Predictions must have the shape of the targets, or be one for each example. "
                f"Received: targets {shape}, predictions {self.predictions.shape}. Make both from "
                "the same examples."
            )
        if self.texts is not None and self.texts.shape != shape[:1]:
            raise ValueError(
                "There must be a text for each example. Received: "
                f"texts {self.texts.shape}, {len(self)} examples. Take the texts of the same ones."
            )
        if self.candidates is not None and self.candidates.shape != shape[:1]:
            raise ValueError(
                "There must be a best answer for each example. Received: "
                f"{self.candidates.shape}, {len(self)} examples. Take those of the same ones."
            )
        if self.scores is None:
            return
        width = self.scores.shape[1:]
        if len(self.scores) != len(self) or (self.names and width != (len(self.names),)):
            raise ValueError(
                "Scores must be a row for each example, with a column for each name. Received: "
                f"scores {self.scores.shape}, {len(self)} examples, {len(self.names)} names. Make "
                "the scores from the same examples, with the names of the model's head."
            )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def required_scores(self) -> np.ndarray:
        """The scores; a ValueError where there are none."""
        if self.scores is None:
            raise ValueError(
                "This metric is computed from scores. Received: outcomes without scores. Keep the "
                "probabilities of the model beside its predictions."
            )
        return self.scores

    def take(self, rows: np.ndarray | list[int]) -> Outcomes:
        """Those of some examples; `rows` are indices, or (E,) bool."""
        return Outcomes(
            targets=self.targets[rows],
            predictions=self.predictions[rows],
            scores=None if self.scores is None else self.scores[rows],
            names=self.names,
            texts=None if self.texts is None else self.texts[rows],
            candidates=None if self.candidates is None else self.candidates[rows],
        )

    def derive(self, function: Callable[[Outcomes], T]) -> T:
        """`function(self)`, computed once: resampling asks for it a thousand times."""
        if function not in self._derived:
            self._derived[function] = function(self)
        return self._derived[function]

    def is_discrete(self, *others: Outcomes) -> bool:
        """Whether examples can have the same outcome: no array is of real numbers or objects."""
        arrays = (self.targets, self.predictions, *(other.predictions for other in others))
        return all(array.dtype.kind in "biuSU" for array in arrays)

    def codes(self, *others: Outcomes) -> tuple[np.ndarray, np.ndarray]:
        """One row of each different outcome, (U,), and the number of each row's outcome, (E,).

        Rows with the same target and prediction, and the same predictions of `others`, have the
        same outcome; outcomes of classes are in the order of these. Scores are not looked at. Each
        row of real numbers or objects is an outcome of its own.
        """
        if not self.is_discrete(*others):
            rows = np.arange(len(self))
            return rows, rows
        codes = _numbered(self.targets)
        for outcomes in (self, *others):
            numbers = _numbered(outcomes.predictions)
            codes = _numbered(codes * (numbers.max(initial=0) + 1) + numbers)
        return np.unique(codes, return_index=True)[1], codes


def object_array(values: Sequence[Any]) -> np.ndarray:
    """(E,) object; tuples of the same length are no second dimension."""
    return np.fromiter(values, object, len(values))


def grouped_rows(groups: np.ndarray, *, num_groups: int) -> list[np.ndarray]:
    """The rows of each group, in their order; `groups` (E,) int, from 0."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.cumsum(np.bincount(groups, minlength=num_groups))[:-1])


def _numbered(values: np.ndarray) -> np.ndarray:
    """(E, ...) to (E,): equal rows have equal numbers, from 0, in the order of their values."""
    if values.ndim > 1:
        flat = values.reshape(len(values), -1)
        flat = np.ascontiguousarray(np.packbits(flat, axis=1) if flat.dtype == bool else flat)
        values = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1]))).ravel()
    return np.unique(values, return_inverse=True)[1]
