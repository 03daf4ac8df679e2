"""Texts that print alike in, what tells them apart out, for errors and warnings.

"label" beside "lаbel"  ->  " 'lаbel' prints like 'label'; character 2 is U+0430 (CYRILLIC
                            SMALL LETTER A) in the first, U+0061 (LATIN SMALL LETTER A) in …"
"""

import difflib
import fnmatch
import functools
import itertools
import os
import unicodedata
from collections.abc import Collection, Iterable
from glob import has_magic
from pathlib import Path

MAX_DIFFERENCES = 3
MAX_CODE_POINTS = 8
"""Of one difference: NFD of Hangul has three for each syllable."""
MAX_NAMES = 100_000
"""Of a folder, read to find one that prints like the name that is not there."""
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters that print nothing, though Unicode calls them letters, marks or symbols."""


def looks_of(text: str) -> str:
    """The same for all texts that print alike, or nearly so.

    Compatibility forms, characters that print nothing, kinds of white space and letters of other
    scripts that look like those of ASCII are one, as Unicode's table of confusables has them.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    visible = "".join(c if c.isspace() or not _is_invisible(c) else "" for c in text)
    letters = map(_ascii_of, unicodedata.normalize("NFKD", visible))
    return " ".join(unicodedata.normalize("NFC", "".join(letters)).split())


def tell_apart(received: str, other: str) -> str:
    """A sentence, after a space, on two texts that print alike and differ; else nothing."""
    if received == other or looks_of(received) != looks_of(other):
        return ""
    matcher = difflib.SequenceMatcher(None, received, other, autojunk=False)
    blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    told = [
        f"character {start + 1} is {_points(received[start:end])} in the first, "
        f"{_points(other[other_start:other_end])} in the second"
        for _, start, end, other_start, other_end in blocks[:MAX_DIFFERENCES]
    ]
    more = f"; and {len(blocks) - len(told)} more" if len(blocks) > len(told) else ""
    return f" {received!r} prints like {other!r}, but {'; '.join(told)}{more}."


def alike_hint(received: object, names: Iterable[object]) -> str:
    """`tell_apart` for the first of `names` that prints like what was received; else nothing."""
    looks = looks_of(str(received))
    found = (str(name) for name in names if looks_of(str(name)) == looks)
    return next(filter(None, (tell_apart(str(received), name) for name in found)), "")


def alike_hints(received: Iterable[object], names: Collection[object]) -> str:
    """`alike_hint` for the first of those received that are no names and print like one."""
    others = (name for name in received if name not in names)
    return next(filter(None, (alike_hint(name, names) for name in others)), "")


def alike_pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Different names that print alike, each with the first one that it prints like."""
    first: dict[str, str] = {}
    pairs = ((first.setdefault(looks_of(name), name), name) for name in dict.fromkeys(names))
    return [(other, name) for other, name in pairs if other != name]


def path_hint(path: str | Path) -> str:
    """`alike_hint` for the first part of a path that is not there, among what is in its place."""
    path = Path(path)
    for part in [*reversed(path.parents), path]:
        if part.name and not os.path.lexists(part):
            try:
                with os.scandir(part.parent) as entries:
                    names = [entry.name for entry, _ in zip(entries, range(MAX_NAMES))]  # noqa: B905
            except OSError:
                return ""
            return _glob_hint(part.name, names) or alike_hint(part.name, names)
    return ""


def _glob_hint(pattern: str, names: list[str]) -> str:
    if not has_magic(pattern):
        return ""
    looks = looks_of(pattern)
    for name in names:
        if not fnmatch.fnmatchcase(name, pattern) and fnmatch.fnmatchcase(looks_of(name), looks):
            pairs = zip(pattern, name, strict=False)
            start = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
            return (
                f" {name!r} prints as if {pattern!r} would match it; from character {start + 1} "
                f"on it is {_points(name[start:])}."
            )
    return ""


def _is_invisible(character: str) -> bool:
    """A control or format character, a variation selector or a filler."""
    return (
        unicodedata.category(character) in ("Cc", "Cf")
        or character in FILLERS
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
    )


@functools.cache
def _ascii_of(character: str) -> str:
    """The character of ASCII that it looks like, or itself."""
    if character.isascii():
        return character
    from confusable_homoglyphs.confusables import confusables_data

    alike = (entry["c"] for entry in confusables_data.get(character, ()))
    return next((other for other in alike if len(other) == 1 and other.isascii()), character)


def _points(text: str) -> str:
    """`U+1112 U+1161`, with the name of a single one."""
    if not text:
        return "missing"
    points = " ".join(f"U+{ord(character):04X}" for character in text[:MAX_CODE_POINTS])
    if len(text) == 1:
        return f"{points} ({unicodedata.name(text, 'without a name')})"
    return points + (" …" if len(text) > MAX_CODE_POINTS else "")
