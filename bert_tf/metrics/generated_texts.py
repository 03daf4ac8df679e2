"""Metrics of texts that a model writes: BLEU and chrF by sacrebleu, whole matches, spaces.

    text_outcomes -> outcomes -> metrics

BLEU and chrF are of a whole corpus: each example has counts of its own, which add up, and the score
is made of the sums. So resampling counts n-grams once.

Source: Papineni et al. 2002; Popović 2015; what is counted, and the signatures: Post 2018.

Letters in shapes: E examples, S counts of each.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import sacrebleu

from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes, object_array

BleuTokenizer = Literal["13a", "intl", "char", "zh", "none"]
"""Those of sacrebleu that need nothing else: `13a`, mteval's, `none` for texts that are split into
words already, `char` for scripts without spaces."""

_FIRST_BIN = 5


def text_outcomes(
    targets: Sequence[str], *, predictions: Sequence[str], sources: Sequence[str]
) -> Outcomes:
    """Right and written texts of E examples as outcomes, and what they were written from.

    Raises:
        ValueError: there is not a text of each kind for each example.
    """
    if not len(targets) == len(predictions) == len(sources):
        raise ValueError(
            "Each example must have its source, its right text and its written one. Received: "
            f"{len(sources)}, {len(targets)} and {len(predictions)}. Make all from the same "
            "examples."
        )
    return Outcomes(
        targets=object_array(targets),
        predictions=object_array(predictions),
        texts=object_array(sources),
    )


def bleu(tokenizer: BleuTokenizer = "13a", *, lower_case: bool = False) -> Metric:
    """BLEU of up to four words, 0 to 100, as sacrebleu computes it of a corpus. NaN of none."""
    return Metric(
        name="bleu",
        title="BLEU",
        is_higher_better=True,
        score=_corpus_score(_bleu(tokenizer, lower_case)),
    )


CHRF = Metric(
    name="chrf",
    title="chrF",
    is_higher_better=True,
    score=lambda outcomes, weights: _chrf_score(outcomes, weights),
)
"""F2 of n-grams of up to six characters, 0 to 100, as sacrebleu computes it. NaN of none."""


def signatures(tokenizer: BleuTokenizer = "13a", *, lower_case: bool = False) -> dict[str, str]:
    """What sacrebleu calls these settings and its own version: by it scores can be compared."""
    scorers = {"bleu": _bleu(tokenizer, lower_case), "chrf": _chrf()}
    # A signature is complete once its scorer has seen how many right texts an example has.
    for scorer in scorers.values():
        scorer.corpus_score([""], [[""]])
    return {name: scorer.get_signature().format() for name, scorer in scorers.items()}


def example_chrf(outcomes: Outcomes) -> np.ndarray:
    """chrF of each example by itself, (E,), from 0 to 100: by it examples can be put in order."""
    counts = outcomes.derive(_counts_by(_chrf()))
    return np.array([_score_of_counts(_chrf(), row) for row in counts], float)


def by_source_length(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """Rows, (E,) bool, by the characters of the source: fewer than 32, then twice as many each."""
    if outcomes.texts is None:
        return {}
    lengths = np.array([max(len(text), 1) for text in outcomes.texts])
    bins = np.maximum(np.floor(np.log2(lengths)).astype(int), _FIRST_BIN - 1)
    return {_bin_name(it): bins == it for it in np.unique(bins).tolist()}


def _bin_name(number: int) -> str:
    first = 0 if number < _FIRST_BIN else 2**number
    return f"{first:,} to {2 ** (number + 1) - 1:,} characters"


@functools.cache
def _bleu(tokenizer: BleuTokenizer, lower_case: bool) -> sacrebleu.BLEU:
    # `force`: no warning where texts that were split into words are compared as they are.
    return sacrebleu.BLEU(tokenize=tokenizer, lowercase=lower_case, force=True)


@functools.cache
def _chrf() -> sacrebleu.CHRF:
    return sacrebleu.CHRF()


def _chrf_score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _corpus_score(_chrf())(outcomes, weights)


def _corpus_score(
    scorer: sacrebleu.BLEU | sacrebleu.CHRF,
) -> Callable[[Outcomes, np.ndarray | None], float]:
    def score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
        if not len(outcomes):
            return float("nan")
        counts = outcomes.derive(_counts_by(scorer))
        total = counts.sum(axis=0) if weights is None else weights @ counts
        return _score_of_counts(scorer, total)

    return score


@functools.cache
def _counts_by(scorer: sacrebleu.BLEU | sacrebleu.CHRF) -> Callable[[Outcomes], np.ndarray]:
    """(E, S) int64: what an example adds to the counts of its corpus."""

    def counts(outcomes: Outcomes) -> np.ndarray:
        rows = scorer._extract_corpus_statistics(
            list(outcomes.predictions), [list(outcomes.targets)]
        )
        return np.array(rows, np.int64)

    return counts


def _score_of_counts(scorer: sacrebleu.BLEU | sacrebleu.CHRF, counts: np.ndarray) -> float:
    return float(scorer._compute_score_from_stats([int(count) for count in counts]).score)


def _whole_matches(outcomes: Outcomes) -> np.ndarray:
    return np.array(
        [
            target == written
            for target, written in zip(outcomes.targets, outcomes.predictions, strict=True)
        ],
        float,
    )


def _space_counts(outcomes: Outcomes) -> np.ndarray:
    """(E, 3): spaces in the right text, in the written one, and in both at one place."""
    rows = [
        _shared_spaces(target, written)
        for target, written in zip(outcomes.targets, outcomes.predictions, strict=True)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


def _shared_spaces(target: str, written: str) -> tuple[int, int, int]:
    right, given = _spaces(target), _spaces(written)
    shared = _shared_prefix("".join(target.split()), "".join(written.split()))
    return len(right), len(given), sum(place <= shared for place in right & given)


def _spaces(text: str) -> set[int]:
    """How many other characters stand before each space; several in a row are one."""
    places, number = set(), 0
    for word in text.split():
        places.add(number)
        number += len(word)
    return places - {0}


def _shared_prefix(first: str, second: str) -> int:
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def _space_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    counts = outcomes.derive(_space_counts)
    right, given, shared = counts.sum(axis=0) if weights is None else weights @ counts
    return float(2.0 * shared / (right + given)) if right + given else float("nan")


EXACT_MATCH = Metric(
    name="exact_match",
    title="exact match",
    is_higher_better=True,
    score=lambda outcomes, weights: weighted_mean(outcomes.derive(_whole_matches), weights),
)
"""Share of texts that are written as they should be, character for character. NaN of none."""

SPACE_F1 = Metric(name="space_f1", title="F1 of spaces", is_higher_better=True, score=_space_f1)
"""F1 of the places of spaces inside of all texts, between other characters: for word spacing.

Places count in so far as the characters before them are the right ones. NaN without any space.
"""
