"""Units of texts and the texts' labelled parts in, a tag a unit out.

units Ada | Lovelace | wrote, parts (0, 12, PER)  ->  B-PER, I-PER, O
"""

import logging
from collections.abc import Sequence

import numpy as np

from bert_tf.data.batches.labelled_tokens import Units
from bert_tf.data.token_labels.spans import Span
from bert_tf.tasks.tag_set import TagSet

log = logging.getLogger(__name__)


def tag_units(units: Units, targets: Sequence[Sequence[Span]], tag_set: TagSet) -> np.ndarray:
    """int32 (N,): the tag of each unit, that of the first labelled part that it meets."""
    spans = [(row, *span) for row, own in enumerate(targets) for span in own]
    if not spans:
        label_ids = np.full(len(units.rows), -1)
        return tag_set.encode(label_ids, is_first=label_ids < 0, is_last=label_ids < 0)
    ids = {label: place for place, label in enumerate(tag_set.labels)}
    # One line of all texts: parts and units, each in order, are compared by one search.
    width = 1 + max(max(end for _, _, end, _ in spans), int(units.ends.max(initial=0)))
    starts = np.array([row * width + start for row, start, _, _ in spans])
    ends = np.array([row * width + end for row, _, end, _ in spans])
    labels = np.array([ids[label] for *_, label in spans])
    unit_starts, unit_ends = (units.rows * width + it for it in (units.starts, units.ends))
    part = np.searchsorted(ends, unit_starts, side="right")
    is_met = part < len(starts)
    part = np.minimum(part, len(starts) - 1)
    is_met &= starts[part] < unit_ends
    number = np.where(is_met, part, -1)
    before, after = np.append(-2, number[:-1]), np.append(number[1:], -2)
    _tell_misfits(starts[part], ends[part], unit_starts, unit_ends, is_met, len(spans))
    return tag_set.encode(
        np.where(is_met, labels[part], -1), is_first=number != before, is_last=number != after
    )


def _tell_misfits(
    starts: np.ndarray,
    ends: np.ndarray,
    unit_starts: np.ndarray,
    unit_ends: np.ndarray,
    is_met: np.ndarray,
    num_spans: int,
) -> None:
    """A line in the log where labelled parts begin or end inside of units."""
    cut = is_met & ((starts > unit_starts) | (ends < unit_ends))
    if num_cut := int(cut.sum()):
        log.warning(
            "%d words or pieces are labelled in part only, of %d labelled parts: a model cannot "
            "answer with these exactly. finetuning.task.units=pieces has finer units.",
            *(num_cut, num_spans),
        )
