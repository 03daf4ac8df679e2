"""How often which scores are there: counted in bins, and compared with those of later texts."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from bert_tf.data.inspection.text_profile import Moved, compare_values

_NUM_BINS = 20


def score_counts(
    scores: Sequence[float], *, span: tuple[float, float] | None = None
) -> dict[str, int]:
    """Texts a score; of many different scores those of bins of equal width, named by their middles.

    Args:
        span: the least and the greatest score there is; None: of those that are there.
    """
    values = np.asarray(scores, float)
    if len(np.unique(values)) > _NUM_BINS:
        counts, edges = np.histogram(values, bins=_NUM_BINS, range=span)
        middles = (edges[:-1] + edges[1:]) / 2
        pairs = zip(middles, counts, strict=True)
        return {f"{middle:.4g}": int(count) for middle, count in pairs if count}
    return {f"{value:g}": count for value, count in sorted(Counter(values.tolist()).items())}


def compare_score_counts(before: Mapping[str, int], now: Mapping[str, int]) -> Moved:
    """Kolmogorov-Smirnov on the scores, as far as the bins tell them."""
    numbers = [{float(name): count for name, count in of.items()} for of in (before, now)]
    return compare_values(*numbers, decimals=2)
