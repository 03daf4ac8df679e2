"""Tags of words in, runs of words with one label out; and back.

    B-PER I-PER O B-LOC   ->  Run(0, 2, "PER"), Run(3, 4, "LOC")

| scheme | a run of words | alone | written before or after the label |
|---|---|---|---|
| BIO (IOB2) | B I I | B | yes |
| IOB1 | I I I; B first where one of the same label ends before | I | yes |
| BIOES (IOBES) | B I E | S | yes |
| BILOU | B I L | U | yes |
| IO | neighbours with the same label | | no, but O is outside |
| plain | a word, each with its label | | no |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from bert_tf.data.tables.faults import ExampleError

Scheme = Literal["BIO", "IOB1", "BIOES", "BILOU", "IO", "plain"]

PREFIXED: dict[str, str] = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BILOU": "BILU"}
"""Scheme -> its letters."""
OUTSIDE = ("O", "-", "_")
"""Tags of words outside, where the others have a letter."""
_AS_BIOES = {"L": "E", "U": "S"}
_AS_BILOU = {letter: own for own, letter in _AS_BIOES.items()}


class Run(NamedTuple):
    """Words `start` to `end`, which is the first behind them, with one label."""

    start: int
    end: int
    label: str
    is_well_formed: bool = True
    """Whether the tags are those that the scheme has for it."""


@dataclass(frozen=True)
class TagForm:
    """How tags are written."""

    scheme: Scheme = "BIO"
    separator: str = "-"
    """Between letter and label."""
    is_label_first: bool = False
    """`PER_B`, not `B_PER`."""

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            raise ValueError(
                f"A scheme of tags must be one of {', '.join(get_args(Scheme))}. Received: "
                f"{self.scheme!r}. Give one of them."
            )

    def describe(self) -> str:
        """The scheme, and how its tags look."""
        if self.scheme not in PREFIXED:
            return self.scheme
        return f"{self.scheme} ({self.write('B', 'LABEL')})"

    def parse(self, tag: str) -> tuple[str, str]:
        """Letter and label: B, I, E, S, or O without a label; L is E, and U is S.

        Raises:
            ExampleError: it is no tag of the scheme, or has no label.
        """
        if self.scheme not in PREFIXED:
            if self.scheme == "IO" and tag == "O":
                return "O", ""
            letter, label = ("I" if self.scheme == "IO" else "S"), tag
        elif tag in OUTSIDE:
            return "O", ""
        else:
            letter, label = self.split(tag)
            if letter not in PREFIXED[self.scheme] or len(letter) != 1:
                raise ExampleError(
                    f"every tag must be one of the scheme {self.describe()}, with a letter of "
                    f"{', '.join(PREFIXED[self.scheme])} or O. Received: {tag!r}. Repair the tag, "
                    "or set finetuning.task.scheme."
                )
        if not label.strip():
            raise ExampleError(
                f"every tag must have a label. Received: {tag!r}. Name it, or write O for a word "
                "that has none."
            )
        return _AS_BIOES.get(letter, letter), label

    def split(self, tag: str) -> tuple[str, str]:
        """Letter and label of a tag with a separator; no letter where it has none."""
        if self.is_label_first:
            label, found, letter = tag.rpartition(self.separator)
        else:
            letter, found, label = tag.partition(self.separator)
        return (letter, label) if found else ("", tag)

    def write(self, letter: str, label: str) -> str:
        """The tag of a word: B, I, E or S and the label, or O."""
        if letter == "O":
            return "O"
        if self.scheme not in PREFIXED:
            return label
        if self.scheme == "BILOU":
            letter = _AS_BILOU.get(letter, letter)
        parts = (label, letter) if self.is_label_first else (letter, label)
        return self.separator.join(parts)


def runs_of(tags: Sequence[str], *, form: TagForm) -> list[Run]:
    """The runs of words that tags stand for, also where they are not as the scheme has them.

    A word belongs to the run before it if its letter is I or E, its label the same, and the word
    before has B or I; else it begins one. So I behind O, or behind another label, begins a run,
    and one that lacks its E ends where it ends.

    Raises:
        ExampleError: a tag is none of the scheme.

    Source: Tjong Kim Sang and Buchholz 2000, `conlleval`; as `seqeval` 1.2.2 in its default mode.
    """
    known = {tag: form.parse(tag) for tag in dict.fromkeys(tags)}
    parsed = [known[tag] for tag in tags]
    if form.scheme == "plain":
        return [Run(place, place + 1, label) for place, (_, label) in enumerate(parsed)]
    runs: list[Run] = []
    start = 0
    for place, (letter, label) in enumerate(parsed):
        goes_on = place > start and _goes_on(parsed[place - 1], (letter, label))
        if goes_on:
            continue
        if place > start:
            runs.append(_run(parsed, start, place, form=form))
        start = place + 1 if letter == "O" else place
    if start < len(parsed):
        runs.append(_run(parsed, start, len(parsed), form=form))
    return runs


def tags_of(runs: Iterable[Run], *, num_words: int, form: TagForm) -> list[str]:
    """The tags of `num_words` words: `runs_of` gives the runs again.

    Raises:
        ValueError: runs overlap, are not inside of the words, or the scheme has no tags for them:
            IO of two with one label side by side, `plain` of words without a label, or of longer
            runs.
    """
    letters: list[tuple[str, str]] = [("O", "")] * num_words
    end = 0
    label = ""
    for run in sorted(runs):
        if not end <= run.start < run.end <= num_words:
            raise ValueError(
                f"Runs must lie inside of {num_words} words and not overlap. Received: {run}. "
                "Repair it."
            )
        is_adjacent = bool(end) and run.start == end and run.label == label
        if form.scheme == "IO" and is_adjacent:
            raise _not_in_scheme("IO", f"two runs of {label!r} side by side")
        letters[run.start : run.end] = [
            (letter, run.label)
            for letter in _letters(run.end - run.start, form.scheme, is_adjacent=is_adjacent)
        ]
        end, label = run.end, run.label
    if form.scheme == "plain" and any(letter != "S" for letter, _ in letters):
        raise _not_in_scheme("plain", "words without a label, or a run of several")
    return [form.write(*word) for word in letters]


def _goes_on(before: tuple[str, str], word: tuple[str, str]) -> bool:
    return word[0] in ("I", "E") and before[0] in ("B", "I") and before[1] == word[1]


def _run(parsed: Sequence[tuple[str, str]], start: int, end: int, *, form: TagForm) -> Run:
    label = parsed[start][1]
    is_adjacent = start > 0 and parsed[start - 1][0] != "O" and parsed[start - 1][1] == label
    expected = _letters(end - start, form.scheme, is_adjacent=is_adjacent)
    received = [letter for letter, _ in parsed[start:end]]
    return Run(start, end, label, received == expected)


def _letters(length: int, scheme: Scheme, *, is_adjacent: bool) -> list[str]:
    """Of a run's words; `is_adjacent`: one with the same label ends right before it."""
    if scheme == "BIO" or (scheme == "IOB1" and is_adjacent):
        return ["B", *["I"] * (length - 1)]
    if scheme in ("IOB1", "IO"):
        return ["I"] * length
    return ["S"] if length == 1 else ["B", *["I"] * (length - 2), "E"]


def _not_in_scheme(scheme: str, received: str) -> ValueError:
    return ValueError(
        f"The scheme {scheme} must have tags for all runs. Received: {received}. Write them in BIO."
    )
