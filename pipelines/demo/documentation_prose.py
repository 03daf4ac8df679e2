"""Docstring in, plain English out: a list of paragraphs, each a list of sentences.

What Python documentation mixes into its prose is taken out: code examples, directives,
signatures, underlines, tables, link and role markup. What does not read like a sentence after
that is dropped, so the rules may be generous.

    >>> clean_docstring('''Return the mean.
    ...
    ... Parameters
    ... ----------
    ... axis : int, optional
    ...     The axis along which the :func:`mean` is computed. By default it is the last one.
    ... ''')
    [['The axis along which the mean is computed.', 'By default it is the last one.']]
"""

import inspect
import re
from collections.abc import Iterable, Iterator

MIN_WORDS = 4
MAX_WORDS = 70
MIN_PLAIN_SHARE = 0.75
MIN_FUNCTION_WORDS = 2

_FENCE = re.compile(r"\s*(```|~~~)")
_EXAMPLE = re.compile(r"\s*(>>>|\.\.\. |In \[\d*\]:|\$ )")
_DIRECTIVE = re.compile(r"\s*\.\.\s+([\w:-]+?)::(.*)")
_COMMENT = re.compile(r"\s*\.\.(\s|$)")
_UNDERLINE = re.compile(r"\s*([-=~^*#\"'`+.])\1{2,}[\s\-=~^*#\"'`+.]*$")
_TABLE = re.compile(r"\s*[|+].*[|+]\s*$|.*\s\|\s.*\s\|\s")
_GOOGLE_HEADING = re.compile(r"\s*[A-Z][A-Za-z]+( [A-Za-z]+){0,3}:$|\s*#+ ")
_BULLET = re.compile(r"(?:[-*+•]|\(?[0-9a-z][.)])\s+")
_FIELD = re.compile(
    r"[:@](?:param|arg|keyword|returns?|raises?|yields?|[ic]?var|r?type|note)\b[^:]*:\s*"
)
_ENTRY = re.compile(r"[`'\"*]*[A-Za-z_][\w.]*[`'\"]*(?:\s*\([^)]*\))?\s*:\s+(?=\S)")
_SIGNATURE = re.compile(r"[\w*.,`'\" /]+ : (?![a-z ]+\.$)")

_KEPT_DIRECTIVES = {"note", "warning", "tip", "hint", "important", "caution", "attention"}
_DROPPED_SECTIONS = {"references", "see also", "methods", "routine listings", "authors"}

_MARKUP = re.compile(r"[`<\[*]|://")
_INLINE = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r":(?:[\w-]+:)?math:`[^`]*`", "\\\\"),  # the sentence falls with its formula
        (r"`~[\w.]*?(\w+)`", r"`\1`"),  # `~a.b.words`
        (r"`\.(?=\w)", "`"),
        (r"(?<!\w):(?:[\w-]+:){1,2}`[~!]?([^`<]*?)(?:\s*<[^`>]*>)?`", r"\1"),  # :role:`words <a.b>`
        (r"`([^`<]*?)\s*<[^`>]*>`_{0,2}", r"\1"),  # `words <target>`_
        (r"!?\[([^\]]*)\]\((?:[^)\s]*)\)", r"\1"),  # [words](target)
        (r"\b(?:see|in|from|of|by|to|and|also)\s+\[[\w+]+\]_", "\\\\"),  # falls with its reference
        (r"\[(?:\d+|[A-Z][\w+]*\d+)\]_?,?", ""),  # [1]_
        (r"</?[a-zA-Z][^<>]*>", ""),
        (r"\((?:https?|ftp)://[^\s)]+\)", ""),
        (r"(?:https?|ftp)://\S+", "\\\\"),  # falls with its address
        (r"`+([^`]*)`+_{0,2}", r"\1"),
        (r"(?<![\w*])\*{1,2}(\w[^*]*?)\*{1,2}(?![\w*])", r"\1"),
        (r"\s+([.,;:!?)])", r"\1"),
        (r"\(\s*\)(?=[\s.,])", ""),
    )
)

_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(]*[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|[Ff]igs?|[Ee]qs?|[Nn]o|[Cc]h|[Ss]ec|[Rr]ef|resp|approx|[A-Z])|\.\.)\.$"
)
_PLAIN_WORD = re.compile(
    r"[(\"']*(?:[A-Za-z][a-z]*|[A-Z]{2,6}s?)(?:[-'/][A-Za-z]+)*[\"')]*[.,;:!?]*[\"')]*"
)
_SENTENCE = re.compile(r"[\"'(]*[A-Z][^{}\\<>|$=@#^~`\[\]]*[.!?][\"')]*")
_FILE_PATH = re.compile(r"(?:^|\s)\.{0,2}/\w|\w/\w+/\w+\.|\.py\b|\bpy\.|sphx_")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those it its is are was were be been has have had do does can "
        "could may might must should will would if of to in on at by for from with without as into "
        "than then when where which who not no or and but all any each every both only same other "
        "such you",
    )
)


def clean_docstring(docstring: str) -> list[list[str]]:
    """Paragraphs of sentences, in order. Paragraphs without a sentence are left out."""
    paragraphs = []
    for paragraph in split_paragraphs(drop_blocks(inspect.cleandoc(docstring).splitlines())):
        sentences = [s for s in split_sentences(clean_inline(paragraph)) if is_sentence(s)]
        if sentences:
            paragraphs.append(sentences)
    return paragraphs


def drop_blocks(lines: Iterable[str]) -> list[str]:
    """The lines without examples, directives, tables, headings and whole sections of references.

    Each removed block leaves an empty line, so that its neighbours stay apart.
    """
    lines = list(lines)
    kept: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        following = lines[position + 1] if position + 1 < len(lines) else ""
        directive = _DIRECTIVE.match(line)
        if line.strip() and _UNDERLINE.fullmatch(following):
            kept.append("")
            position += 2
            if line.strip().lower() in _DROPPED_SECTIONS:
                position = _next_heading(lines, position)
        elif _FENCE.match(line):
            kept.append("")
            position = _after_fence(lines, position)
        elif _EXAMPLE.match(line):
            kept.append("")
            position = _next_blank(lines, position)
        elif directive and directive[1].lower() in _KEPT_DIRECTIVES:
            kept += ["", directive[2].strip()]
            position += 1
        elif directive or _COMMENT.match(line):
            kept.append("")
            position = _after_indented(lines, position)
        elif line.rstrip().endswith("::"):
            kept += [line.rstrip()[:-1], ""]
            position = _after_indented(lines, position)
        else:
            is_noise = _UNDERLINE.fullmatch(line) or _TABLE.match(line)
            kept.append("" if is_noise or _GOOGLE_HEADING.match(line) else line)
            position += 1
    return kept


def split_paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Lines joined to paragraphs; list items and entries of parameter lists are paragraphs, too.

    `axis : int` (numpydoc) is dropped, `axis: The axis.` (Google style) and
    `:param axis: The axis.` (Sphinx) keep what follows the name.
    """
    words: list[str] = []
    indent = 0
    may_hang = False
    for line in [*lines, ""]:
        text = line.strip()
        line_indent = len(line) - len(line.lstrip())
        body = _strip_marker(text, is_first=not words or may_hang or line_indent != indent)
        is_continued = body == text and (
            line_indent == indent or (may_hang and line_indent > indent)
        )
        if not is_continued or not text:
            if words:
                yield " ".join(words)
            words = []
        if body:
            if not words:
                indent, may_hang = line_indent, body != text
            elif may_hang:
                indent, may_hang = line_indent, False
            words.append(body)


def clean_inline(paragraph: str) -> str:
    """Markup removed, its words kept: ``:func:`~a.b` is **fast** [1]_`` → `a.b is fast`."""
    if _MARKUP.search(paragraph):
        for pattern, replacement in _INLINE:
            paragraph = pattern.sub(replacement, paragraph)
    return " ".join(paragraph.split())


def split_sentences(paragraph: str) -> list[str]:
    """Sentences of a paragraph; `e.g.`, `et al.` and initials do not end one."""
    sentences = []
    start = 0
    for match in _SENTENCE_END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph[start : match.start() + 1]):
            sentences.append(paragraph[start : match.end()].strip())
            start = match.end()
    return [*sentences, paragraph[start:].strip()]


def is_sentence(text: str) -> bool:
    """Whether `text` reads like an English sentence rather than code, a formula or a fragment."""
    words = text.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not _SENTENCE.fullmatch(text):
        return False
    if _FILE_PATH.search(text) or not text.isprintable():
        return False
    if text.count("(") != text.count(")") or text.count('"') % 2:
        return False
    plain = sum(1 for word in words if _PLAIN_WORD.fullmatch(word))
    function_words = sum(1 for word in words if word.lower().strip(".,;:()\"'") in _FUNCTION_WORDS)
    return plain >= MIN_PLAIN_SHARE * len(words) and function_words >= min(
        MIN_FUNCTION_WORDS, len(words) // 3
    )


def _strip_marker(text: str, *, is_first: bool) -> str:
    """`text` without a list or parameter marker; empty if it is a numpydoc signature."""
    body = _FIELD.sub("", text, count=1) if _FIELD.match(text) else text
    bullet = _BULLET.match(body)
    if bullet:
        body = body[bullet.end() :]
    if (is_first or bullet) and _SIGNATURE.match(body):
        return ""
    entry = _ENTRY.match(body) if is_first or bullet else None
    return body[entry.end() :] if entry else body


def _next_blank(lines: list[str], position: int) -> int:
    while position < len(lines) and lines[position].strip():
        position += 1
    return position


def _next_heading(lines: list[str], position: int) -> int:
    while position + 1 < len(lines):
        if lines[position].strip() and _UNDERLINE.fullmatch(lines[position + 1]):
            return position
        position += 1
    return len(lines)


def _after_fence(lines: list[str], position: int) -> int:
    position += 1
    while position < len(lines) and not _FENCE.match(lines[position]):
        position += 1
    return position + 1


def _after_indented(lines: list[str], position: int) -> int:
    """The first line after `position` that is neither empty nor indented more deeply than it."""
    indent = len(lines[position]) - len(lines[position].lstrip())
    position += 1
    while position < len(lines):
        line = lines[position]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        position += 1
    return position
