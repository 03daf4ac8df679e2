"""Encoded examples in, their text profile out, with which later texts are compared for drift."""

import logging
from typing import Any

import numpy as np

from bert_tf.data.batches.labelled import CountsTokens
from bert_tf.data.inspection.text_profile import MAX_TEXTS, TextProfile
from bert_tf.data.text.vocabulary_case import MAX_UNKNOWN_SHARE
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples

log = logging.getLogger(__name__)


def profile_encoded(encoded: Any, examples: Examples | None, task: Task) -> TextProfile:
    """The text profile of examples as the model reads them, cut to its length.

    Of more than `MAX_TEXTS` examples every second, third and so on is looked at. Without examples,
    which were encoded before, no target is counted.
    """
    step = -(-len(encoded if examples is None else examples) // MAX_TEXTS)
    lengths, num_unknown = np.zeros(0, int), np.zeros(0, int)
    if isinstance(encoded, CountsTokens):
        lengths, num_unknown = (numbers[::step] for numbers in encoded.first_tokens())
    seen = examples
    if examples is not None and step > 1:
        seen = examples.take(range(0, len(examples), step))
    profile = TextProfile.of(
        lengths=lengths,
        num_unknown=int(num_unknown.sum()),
        label_counts={} if seen is None else task.target_counts(seen),
    )
    if profile.unknown_share > MAX_UNKNOWN_SHARE:
        log.warning(
            "%.1f%% of the tokens of %d texts are [UNK]: the vocabulary does not fit them, or is "
            "read with another case than it was made with (tokenizer.json beside it says which).",
            *(100 * profile.unknown_share, len(lengths)),
        )
    return profile
