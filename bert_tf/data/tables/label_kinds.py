"""Labels in; refused, or told, where they look like texts or scores instead of classes.

"worst film ever", "I liked it", …   ->  a column of texts
"0.8", "2.25", "3.75", …             ->  scores: a task of regression
"""

import logging
from collections.abc import Sequence

from bert_tf.data.tables.header import MOST, NUMBER, num_words

logger = logging.getLogger(__name__)

CHECK_SETTING = "finetuning.task.check_labels"
MOST_SCORES = 20
"""Different numbers with fractions that may be classes, such as half stars."""
FEW_LABELS = FEWEST_TOLD = 20
"""So many or fewer may all differ; from so many on many different ones are told."""
SENTENCE_WORDS, SENTENCE_LENGTH = 5, 40
"""Mean of the different labels, from which on they are sentences."""
NUM_SHOWN = 3


def check_labels(labels: Sequence[str], *, key: str) -> None:
    """Raise ValueError for scores; a warning for few of them, and for more classes than a tenth.

    Args:
        labels: of all examples, or of a part of them.
        key: the setting that named their column.
    """
    kinds = list(dict.fromkeys(labels))
    if scores := _fractions(kinds):
        question = (
            f"{key}: labels must be classes. Received: {len(kinds)} numbers with fractions, such "
            f"as {_shown(scores)}: did you mean finetuning.task=regression? If they are classes, "
        )
        if len(kinds) > MOST_SCORES:
            raise ValueError(f"{question}set {CHECK_SETTING}=false.")
        logger.warning("%sall is well.", question)
    elif _are_no_classes(kinds, labels):
        logger.warning("%s A training refuses them.", _many(kinds, labels, key=key))
    elif len(kinds) > max(2, len(labels) / 10) and len(labels) >= FEWEST_TOLD:
        logger.warning("%s", _many(kinds, labels, key=key))


def check_classes(labels: Sequence[str], *, key: str) -> None:
    """Raise ValueError if all labels of a training cannot be classes: texts, or a column of ids."""
    kinds = list(dict.fromkeys(labels))
    if _are_no_classes(kinds, labels):
        raise ValueError(
            f"{_many(kinds, labels, key=key)} Set {key} to the column of the classes; if these are "
            f"classes, set {CHECK_SETTING}=false."
        )


def regression_question(labels: Sequence[str]) -> str:
    """A question, after a space, for an error on labels that may be scores; else nothing."""
    scores = _fractions(list(labels))
    return (
        f" They are numbers with fractions ({_shown(scores)}): did you mean "
        "finetuning.task=regression?"
        if scores
        else ""
    )


def _are_no_classes(kinds: Sequence[str], labels: Sequence[str]) -> bool:
    mostly_differ = len(kinds) > len(labels) / 2 and len(labels) > FEW_LABELS
    return mostly_differ or (len(kinds) > max(2, len(labels) / 10) and _are_sentences(kinds))


def _fractions(kinds: Sequence[str]) -> list[str]:
    """Those with a fraction, if all but a few are numbers, with a point or a comma."""
    numbers = [kind for kind in kinds if NUMBER.fullmatch(kind.replace(",", "."))]
    if len(numbers) < MOST * len(kinds):
        return []
    return [kind for kind in numbers if not float(kind.replace(",", ".")).is_integer()]


def _many(kinds: Sequence[str], labels: Sequence[str], *, key: str) -> str:
    return (
        f"{key}: classes must be fewer than a tenth of the labels, as a rule. Received: "
        f"{len(kinds):,} classes of {len(labels):,} labels, such as {_shown(kinds)}, as a column "
        f"of {'texts' if _are_sentences(kinds) else 'texts or ids'} has."
    )


def _shown(kinds: Sequence[str]) -> str:
    return ", ".join(f"{kind!r:.60}" for kind in kinds[:NUM_SHOWN])


def _are_sentences(kinds: Sequence[str]) -> bool:
    return sum(map(num_words, kinds)) >= SENTENCE_WORDS * len(kinds) or sum(
        map(len, kinds)
    ) >= SENTENCE_LENGTH * len(kinds)
