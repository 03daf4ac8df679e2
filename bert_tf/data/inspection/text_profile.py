"""Text profiles: lengths, targets and unknown words of labelled texts; drift between two of them.

A profile is counts, small enough to be kept with every registered version. Two profiles are
compared by tests that need nothing else.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pydantic

from bert_tf.system.json_files import read_model

PROFILE_FILE = "data_profile.json"
UNKNOWN_WORDS = "unknown words"
MAX_TEXTS = 50_000
"""Of more than so many texts every second, third and so on is looked at."""


@dataclass(frozen=True)
class TextProfile:
    """Counts over labelled texts, tokenized by one model."""

    __pydantic_config__: ClassVar = pydantic.ConfigDict(extra="forbid")

    num_texts: int
    num_tokens: int
    num_unknown: int
    """[UNK] among the tokens."""
    length_counts: Mapping[int, int] = field(default_factory=dict)
    """Tokens of a text -> texts."""
    label_counts: Mapping[str, int] = field(default_factory=dict)
    """Targets, or bins of them -> texts."""

    @classmethod
    def of(
        cls, *, lengths: Iterable[int], num_unknown: int, label_counts: Mapping[str, int]
    ) -> Self:
        """Counts `lengths`, the tokens of each text without [CLS] and [SEP]."""
        counted = Counter(int(length) for length in lengths)
        return cls(
            num_texts=sum(counted.values()),
            num_tokens=sum(length * number for length, number in counted.items()),
            num_unknown=int(num_unknown),
            length_counts=dict(sorted(counted.items())),
            label_counts=label_counts,
        )

    @property
    def unknown_share(self) -> float:
        return self.num_unknown / max(1, self.num_tokens)

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Raises FileNotFoundError, and ValueError for a file of another kind."""
        to_do = f"Use the {PROFILE_FILE} that `bert-tf finetune` wrote."
        return read_model(path, cls, what="a text profile", to_do=to_do)


@dataclass(frozen=True)
class Moved:
    """How far something moved, and whether that is chance."""

    size: float
    """Between 0 and 1."""
    p_value: float
    test: str
    before: str
    now: str


@dataclass(frozen=True)
class Drift:
    """How far one property moved."""

    name: str
    moved: Moved


def compare(
    before: TextProfile,
    now: TextProfile,
    *,
    compare_targets: Callable[[Mapping[str, int], Mapping[str, int]], Moved] | None = None,
) -> list[Drift]:
    """Lengths, targets and share of unknown words of two profiles.

    `size`: of lengths the Kolmogorov-Smirnov statistic, the largest difference of the cumulative
    shares; of targets what their task says (`compare_counts` unless it says otherwise); of unknown
    words the difference of shares. Whether a size is chance: two-sample Kolmogorov-Smirnov, and
    chi-square of the counts.
    """
    unknown = np.array([[p.num_unknown, p.num_tokens - p.num_unknown] for p in (before, now)])
    lengths = compare_values(before.length_counts, now.length_counts, unit=" tokens")
    targets = (compare_targets or compare_counts)(before.label_counts, now.label_counts)
    words = Moved(
        size=abs(before.unknown_share - now.unknown_share),
        p_value=_chi_square(unknown),
        test="chi-square",
        before=f"{before.unknown_share:.2%} of tokens",
        now=f"{now.unknown_share:.2%} of tokens",
    )
    return [Drift("lengths", lengths), Drift("labels", targets), Drift(UNKNOWN_WORDS, words)]


def compare_values(
    before: Mapping[Any, int], now: Mapping[Any, int], *, unit: str = "", decimals: int = 0
) -> Moved:
    """Two distributions of numbers, as counts of each: Kolmogorov-Smirnov, and the medians."""
    from scipy import stats

    values = [np.repeat(np.array(list(c), float), list(c.values())) for c in (before, now)]
    statistic = stats.ks_2samp(*values, method="asymp")
    medians = [f"median {np.median(of):.{decimals}f}{unit}" for of in values]
    return Moved(
        size=float(statistic.statistic),
        p_value=float(statistic.pvalue),
        test="two-sample Kolmogorov-Smirnov",
        before=medians[0],
        now=medians[1],
    )


def compare_counts(before: Mapping[str, int], now: Mapping[str, int]) -> Moved:
    """Two distributions over names: half the sum of absolute differences of shares, chi-square."""
    names = sorted({*before, *now})
    counts = np.array([[of.get(name, 0) for name in names] for of in (before, now)], float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return Moved(
        size=float(np.abs(shares[0] - shares[1]).sum() / 2),
        p_value=_chi_square(counts),
        test="chi-square",
        before=_shares(names, shares[0]),
        now=_shares(names, shares[1]),
    )


def _chi_square(counts: np.ndarray) -> float:
    """p-value of two rows of counts; 1 where there is nothing that could differ."""
    from scipy import stats

    seen = counts[:, counts.sum(axis=0) > 0]
    if seen.shape[1] < 2 or not seen.sum(axis=1).all():
        return 1.0
    return float(stats.chi2_contingency(seen).pvalue)


def _shares(names: list[str], shares: np.ndarray) -> str:
    largest = np.argsort(-shares)[:5]
    return ", ".join(f"{names[i]} {shares[i]:.0%}" for i in largest)
