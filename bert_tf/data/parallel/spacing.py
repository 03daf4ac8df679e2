"""A text in; the same without its spaces, and with single ones, out.

    "나는  학교에 간다.\\n" -> source "나는학교에간다.", target "나는 학교에 간다."

White space is what Unicode says (property `White_Space`), 25 characters: U+0009 to U+000D, U+0020,
U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000. Zero-width
spaces and joiners are none, nor is the Hangul filler; they stay on both sides.

Words are the longest runs of other characters: the target has them with one U+0020 in between, the
source with nothing. So where spaces stand is all that the target says beyond the source.
"""

import re

WHITE_SPACE = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")


def without_spaces(text: str) -> tuple[str, str]:
    """Source and target; both are empty of white space alone."""
    words = [word for word in WHITE_SPACE.split(text) if word]
    return "".join(words), " ".join(words)
