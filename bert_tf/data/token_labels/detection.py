"""All tags of some texts in, the scheme that they are written in out.

[B-PER, I-PER, O], [O, B-LOC]  ->  BIO (B-LABEL)
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from bert_tf.data.token_labels.schemes import OUTSIDE, PREFIXED, Run, Scheme, TagForm, runs_of
from bert_tf.system.listing import listed

SETTING = "finetuning.task.scheme"
LETTERS = "BIESLU"
AFFIXES = (("-", False), ("_", False), ("-", True), ("_", True))
"""Separator, and whether the label stands before it."""
MOST_BROKEN = 0.1
"""Share of texts with labels, none of which is as BIOES has it: more are of another scheme."""
NUM_SHOWN = 5

Tags = Sequence[Sequence[str]]
Where = Callable[[int], str]


def detect_form(texts: Tags, *, where: Where, scheme: Scheme | Literal["auto"] = "auto") -> TagForm:
    """How the tags of all texts are written.

    BIO and IOB1 differ in where B stands: it is the one that fewer runs of words contradict. A
    scheme that is given is taken; what its tags look like is seen.

    Args:
        where: of a text, its file and line.
        scheme: `auto`, or the one they are written in.

    Raises:
        ValueError: the tags contradict every scheme, with some that do and where they are; or it
            has to be said what they mean: labels without letters beside O.
    """
    names = dict.fromkeys(itertools.chain.from_iterable(texts))
    if scheme != "auto" and scheme not in PREFIXED:
        return TagForm(scheme)
    labelled = [name for name in names if name not in OUTSIDE]
    forms = {affix: [name for name in labelled if _letter(name, affix)] for affix in AFFIXES}
    separator, is_label_first = affix = max(AFFIXES, key=lambda affix: len(forms[affix]))
    if scheme != "auto":
        return TagForm(scheme, separator, is_label_first)
    if not labelled:
        return TagForm("BIO")
    if not forms[affix]:
        return _without_letters(texts, list(names), where=where)
    others = [name for name in labelled if name not in set(forms[affix])]
    if others:
        raise _contradiction(
            texts, forms[affix], others, where=where, rule="have a letter as the others have it"
        )
    letters = {_letter(name, affix) for name in labelled}
    found: Scheme = "BIO"
    if letters & {"E", "S", "L", "U"}:
        found = "BILOU" if letters & {"L", "U"} else "BIOES"
    rest = [name for name in labelled if _letter(name, affix) not in PREFIXED[found]]
    if rest:
        own = [name for name in labelled if _letter(name, affix) in ("L", "U")]
        raise _contradiction(
            texts, own, rest, where=where, rule="be of one scheme, BIOES or BILOU, not of both"
        )
    form = TagForm(found, separator, is_label_first)
    if found == "BIO":
        return _bio_or_iob1(texts, form)
    _check_ends(texts, form, where=where)
    return form


def first_place(texts: Tags, name: str, *, where: Where) -> str:
    """File and line of the first text with a tag, and the number of its word."""
    for row, tags in enumerate(texts):
        if name in tags:
            return f"{where(row)}, token {list(tags).index(name) + 1}"
    raise KeyError(name)


def _letter(name: str, affix: tuple[str, bool]) -> str:
    """The letter of a tag, if it has one at this side of this separator; else nothing."""
    letter, label = TagForm("BIO", *affix).split(name)
    return letter if label and len(letter) == 1 and letter in LETTERS else ""


def _without_letters(texts: Tags, names: Sequence[str], *, where: Where) -> TagForm:
    """Plain tags, unless it may be meant otherwise."""
    inside = [name for name in names if name not in ("O", "o")]
    if "B" in inside and all(name in LETTERS for name in inside):
        raise ValueError(
            f"{first_place(texts, 'B', where=where)}: tags with a letter must have a label behind "
            f"it. Received: {_shown(names)}. Write B-ENTITY for B, or set {SETTING}=plain if these "
            "are the labels."
        )
    lower = [name for name in names if any(_letter(name.upper(), affix) for affix in AFFIXES)]
    if lower == inside:
        raise ValueError(
            f"{first_place(texts, lower[0], where=where)}: letters of tags must be capitals. "
            f"Received: {_shown(names)}. Write {lower[0].upper()} for {lower[0]}, or set "
            f"{SETTING}=plain if these are the labels."
        )
    if "O" in names:
        raise ValueError(
            f"{first_place(texts, 'O', where=where)}: tags without letters must not have O beside "
            f"them, or {SETTING} says what they mean. Received: {_shown(names)}. Set it to IO if O "
            "is a word outside and neighbours with one label are one entity, to plain if every "
            "word has a label and O is one."
        )
    return TagForm("plain")


def _bio_or_iob1(texts: Tags, form: TagForm) -> TagForm:
    iob1 = TagForm("IOB1", form.separator, form.is_label_first)
    return min((form, iob1), key=lambda form: sum(1 for _ in _broken(texts, form)))


def _check_ends(texts: Tags, form: TagForm, *, where: Where) -> None:
    """Raise ValueError if many texts have no run that is as a scheme with ends has it."""
    num_labelled = 0
    without: list[int] = []
    for row, tags in enumerate(texts):
        runs = runs_of(tags, form=form)
        num_labelled += bool(runs)
        if runs and not any(run.is_well_formed for run in runs):
            without.append(row)
    if len(without) <= MOST_BROKEN * num_labelled:
        return
    row = without[0]
    tags = texts[row]
    run = runs_of(tags, form=form)[0]
    ends = [name for name in itertools.chain.from_iterable(texts) if _is_end(name, form)]
    raise ValueError(
        f"{where(row)}: all tags must be of one scheme. Received: "
        f"{listed(tags[run.start : run.end], max_items=NUM_SHOWN)} for tokens {run.start + 1} to "
        f"{run.end}, which {form.scheme} does not write so, as in {len(without):,} of "
        f"{num_labelled:,} texts with labels; but {ends[0]!r} at "
        f"{first_place(texts, ends[0], where=where)}, which BIO has not. Read the texts of each "
        f"scheme by themselves, or set {SETTING}={form.scheme} to have them repaired."
    )


def _is_end(name: str, form: TagForm) -> bool:
    return name not in OUTSIDE and form.parse(name)[0] in ("E", "S")


def _broken(texts: Tags, form: TagForm) -> Iterable[Run]:
    return (run for tags in texts for run in runs_of(tags, form=form) if not run.is_well_formed)


def _contradiction(
    texts: Tags, own: Sequence[str], others: Sequence[str], *, where: Where, rule: str
) -> ValueError:
    return ValueError(
        f"{first_place(texts, others[0], where=where)}: all tags must {rule}. Received: "
        f"{_shown(others)}; but {_shown(own)}, first at {first_place(texts, own[0], where=where)}. "
        f"Repair the tags, or set {SETTING}: to plain if all of these are labels, or to the scheme "
        "that they are written in."
    )


def _shown(names: Sequence[str]) -> str:
    return listed(map(repr, names), max_items=NUM_SHOWN)
