"""The tags that a token can have, and which may follow which.

    labels LOC, PER; bio     ->  O, B-LOC, I-LOC, B-PER, I-PER
    labels LOC, PER; iobes   ->  O, B-LOC, I-LOC, E-LOC, S-LOC, B-PER, …
    labels NOUN, VERB; plain ->  O, NOUN, VERB, of words each by itself

Source: Ramshaw and Marcus 1995 (BIO); Ratinov and Roth 2009 (IOBES, there BILOU).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

Scheme = Literal["bio", "iobes", "plain"]
OUTSIDE = "O"
_BEGIN, _INSIDE, _END, _SINGLE = "BIES"
_PREFIXES: dict[Scheme, tuple[str, ...]] = {
    "bio": (_BEGIN, _INSIDE),
    "iobes": (_BEGIN, _INSIDE, _END, _SINGLE),
    "plain": (),
}


def scheme_of(tags: Sequence[str]) -> Scheme | None:
    """The scheme of which `tags` are `O` and all tags of some labels, in any order; else None."""
    labels = {tag.partition("-")[2] for tag in tags} - {""}
    for scheme in ("bio", "iobes"):
        wanted = TagSet.of_labels(sorted(labels), scheme=scheme).tags
        if labels and sorted(wanted) == sorted(tags):
            return scheme
    return None


@dataclass(frozen=True)
class TagSet:
    """Tags of a scheme, in the order of a head's outputs: T of them.

    Raises:
        ValueError: a tag is not of the scheme.
    """

    tags: tuple[str, ...]
    scheme: Scheme

    @classmethod
    def of_labels(cls, labels: Sequence[str], *, scheme: Scheme) -> Self:
        """`O` and all tags of some labels."""
        if scheme == "plain":
            return cls((OUTSIDE, *labels), scheme)
        tags = [f"{prefix}-{label}" for label in labels for prefix in _PREFIXES[scheme]]
        return cls((OUTSIDE, *tags), scheme)

    def __post_init__(self) -> None:
        prefixes = _PREFIXES[self.scheme]
        for tag in self.tags:
            prefix, dash, label = tag.partition("-")
            if prefixes and tag != OUTSIDE and not (prefix in prefixes and dash and label):
                raise ValueError(
                    f"Tags of the scheme {self.scheme} must be O, or {', '.join(prefixes)} with a "
                    f"dash and a label. Received: {tag!r}. Set finetuning.task.model_scheme to "
                    "theirs."
                )

    @functools.cached_property
    def label_of(self) -> tuple[str, ...]:
        """(T,): the label that a tag is of; of `O` an empty text."""
        is_plain = self.scheme == "plain"
        return tuple(
            "" if tag == OUTSIDE else tag if is_plain else tag.partition("-")[2]
            for tag in self.tags
        )

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """Each once, in the order of their tags."""
        return tuple(dict.fromkeys(label for label in self.label_of if label))

    @functools.cached_property
    def is_inside(self) -> np.ndarray:
        """(T,) bool: all but `O`."""
        return np.array([tag != OUTSIDE for tag in self.tags])

    @functools.cached_property
    def begins(self) -> np.ndarray:
        """(T,) bool: what is labelled begins with it."""
        return self.is_inside & ~self._has_prefix(_INSIDE, _END)

    def allowed_transitions(self) -> np.ndarray:
        """(T + 1, T + 1) bool: whether the column's tag may follow the row's.

        The last row is the start of a text, the last column its end.
        """
        number = len(self.tags)
        label_of = np.array(self.label_of)
        goes_on = self.is_inside & ~self.begins
        may_go_on = self._has_prefix(_BEGIN, _INSIDE)
        must_go_on = may_go_on & (self.scheme == "iobes")
        is_same = label_of[:, np.newaxis] == label_of
        allowed = np.zeros((number + 1, number + 1), bool)
        allowed[:number, :number] = (may_go_on[:, np.newaxis] & goes_on & is_same) | (
            ~must_go_on[:, np.newaxis] & ~goes_on
        )
        allowed[number, :number] = ~goes_on
        allowed[:number, number] = ~must_go_on
        allowed[number, number] = True
        return allowed

    def penalties(self) -> np.ndarray:
        """(T + 1, T + 1) float32: what leaves a chain of tags no way that is not allowed."""
        return np.where(self.allowed_transitions(), 0.0, -1e4).astype(np.float32)

    def encode(
        self, label_ids: np.ndarray, *, is_first: np.ndarray, is_last: np.ndarray
    ) -> np.ndarray:
        """int32 (tokens,): the tag of each token.

        Args:
            label_ids: int (tokens,), places in `labels`; -1 of a token without a label.
            is_first, is_last: bool (tokens,), whether it is the first, the last, of what is
                labelled.

        Raises:
            ValueError: a token has no label, and there is no tag `O`.
        """
        ids = {tag: place for place, tag in enumerate(self.tags)}
        is_outside = label_ids < 0
        if is_outside.any() and OUTSIDE not in ids:
            raise ValueError(
                "Every word must have a label, as in the training data. Received: a word without "
                "one. Label it, or train with examples that have such words."
            )
        if self.scheme == "plain":
            places = np.array([ids[label] for label in self.labels])
            found = places[label_ids]
        else:
            prefixes = _PREFIXES[self.scheme]
            places = np.array([[ids[f"{p}-{label}"] for p in prefixes] for label in self.labels])
            inner = np.where(is_first, 0, 1)
            if self.scheme == "iobes":
                inner = np.select([is_first & is_last, is_first, is_last], [3, 0, 2], default=1)
            found = places[label_ids, inner]
        return np.where(is_outside, ids.get(OUTSIDE, 0), found).astype(np.int32)

    def _has_prefix(self, *prefixes: str) -> np.ndarray:
        is_plain = self.scheme == "plain"
        return np.array(
            [
                tag != OUTSIDE and not is_plain and tag.partition("-")[0] in prefixes
                for tag in self.tags
            ]
        )
