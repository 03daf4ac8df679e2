"""What texts look like to a model: lengths, labels, share of unknown words; and whether that moved.

A profile is counts, small enough to be kept with every registered version. Two profiles are
compared by tests that need nothing else.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from bert_tf.data.batches.tasks import LabelledText
from bert_tf.data.text.tokenizer import Tokenizer

PROFILE_FILE = "data_profile.json"
UNKNOWN_WORDS = "unknown words"
NUM_SPECIAL_TOKENS = 2
"""[CLS] and [SEP], which every text has."""
_MAX_TEXTS = 50_000


@dataclass(frozen=True)
class TextProfile:
    """Counts over labelled texts, tokenized by one model."""

    num_texts: int
    num_tokens: int
    num_unknown: int
    """[UNK] among the tokens."""
    length_counts: Mapping[int, int] = field(default_factory=dict)
    """Tokens of a text -> texts."""
    label_counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, *, lengths: Iterable[int], num_unknown: int, labels: Iterable[str]) -> Self:
        """Counts `lengths` (tokens, [CLS] and [SEP] left out) and `labels`, a value a text."""
        counted = Counter(int(length) for length in lengths)
        return cls(
            num_texts=sum(counted.values()),
            num_tokens=sum(length * number for length, number in counted.items()),
            num_unknown=int(num_unknown),
            length_counts=dict(sorted(counted.items())),
            label_counts=dict(sorted(Counter(labels).items())),
        )

    @property
    def unknown_share(self) -> float:
        return self.num_unknown / max(1, self.num_tokens)

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Raises FileNotFoundError, and ValueError for a file of another kind."""
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        try:
            lengths = {int(length): number for length, number in values["length_counts"].items()}
            return cls(**{**values, "length_counts": lengths})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: must be a data profile. Received: {error}.") from error


@dataclass(frozen=True)
class Drift:
    """How far one property moved."""

    name: str
    size: float
    """Between 0 and 1: see `compare`."""
    p_value: float
    test: str
    before: str
    now: str


def profile_texts(data: LabelledText, tokenizer: Tokenizer, *, max_seq_length: int) -> TextProfile:
    """Of the first texts of labelled data, as a model reads them: beyond its length it does not.

    Of more than `_MAX_TEXTS` it looks at every second, third and so on.
    """
    step = -(-len(data.texts) // _MAX_TEXTS)
    ids = tokenizer.tokenize(data.texts[::step])[:, : max_seq_length - NUM_SPECIAL_TOKENS]
    return TextProfile.of(
        lengths=ids.row_lengths().numpy(),
        num_unknown=int((ids.flat_values.numpy() == tokenizer.unk_id).sum()),
        labels=data.labels[::step],
    )


def compare(before: TextProfile, now: TextProfile) -> list[Drift]:
    """Lengths, labels and share of unknown words of two profiles.

    `size`: of lengths the Kolmogorov-Smirnov statistic, the largest difference of the cumulative
    shares; of labels half the sum of absolute differences of shares (total variation); of unknown
    words the difference of shares. Whether a size is chance: two-sample Kolmogorov-Smirnov, and
    chi-square of the counts.
    """
    from scipy import stats

    lengths = [_repeated(profile.length_counts) for profile in (before, now)]
    statistic = stats.ks_2samp(*lengths, method="asymp")
    names = sorted({*before.label_counts, *now.label_counts})
    labels = np.array([[p.label_counts.get(n, 0) for n in names] for p in (before, now)], float)
    shares = labels / np.maximum(labels.sum(axis=1, keepdims=True), 1)
    unknown = np.array([[p.num_unknown, p.num_tokens - p.num_unknown] for p in (before, now)])
    return [
        Drift(
            "lengths",
            size=float(statistic.statistic),
            p_value=float(statistic.pvalue),
            test="two-sample Kolmogorov-Smirnov",
            before=f"median {np.median(lengths[0]):.0f} tokens",
            now=f"median {np.median(lengths[1]):.0f} tokens",
        ),
        Drift(
            "labels",
            size=float(np.abs(shares[0] - shares[1]).sum() / 2),
            p_value=_chi_square(labels),
            test="chi-square",
            before=_shares(names, shares[0]),
            now=_shares(names, shares[1]),
        ),
        Drift(
            UNKNOWN_WORDS,
            size=abs(before.unknown_share - now.unknown_share),
            p_value=_chi_square(unknown),
            test="chi-square",
            before=f"{before.unknown_share:.2%} of tokens",
            now=f"{now.unknown_share:.2%} of tokens",
        ),
    ]


def _repeated(counts: Mapping[int, int]) -> np.ndarray:
    return np.repeat(np.array(list(counts), int), list(counts.values()))


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
