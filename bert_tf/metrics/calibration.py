"""Calibration error: whether predictions with a confidence of 80 % are right in 80 of 100 cases."""

import numpy as np

_NUM_BINS = 15


def expected_calibration_error(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """|confidence - share of right ones| over 15 bins of confidence, weighted; both (N,).

    NaN of nothing. Source: Guo et al. 2017, equation 3.
    """
    if not len(confidence):
        return float("nan")
    bins = np.minimum((confidence * _NUM_BINS).astype(int), _NUM_BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - is_right[bins == b].mean()) * np.mean(bins == b)
        for b in np.unique(bins)
    ]
    return float(sum(gaps))
