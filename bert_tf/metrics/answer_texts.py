"""Texts of answers as published evaluation scripts compare them.

    "The Seine (river)"  ->  SQuAD: "seine river"        words: seine, river
    "《서울》 특별시"      ->  KorQuAD: "서울 특별시"       characters: 서, 울, 특, 별, 시

Sources: SQuAD's evaluate-v1.1.py and evaluate-v2.0.py (Rajpurkar et al. 2016 and 2018), KorQuAD
1.0's evaluate-korquad_v1.0.py (Lim et al. 2019), KLUE-baseline's metrics/utils.py (Park et al.
2021).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

ARTICLES = re.compile(r"\b(?:an?|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
"""Of ASCII alone, as in both."""
BRACKETS_AS_SPACES = str.maketrans(dict.fromkeys("'\"<>()《》〈〉‘’", " "))


def squad_text(text: str) -> str:
    """In lower case, without punctuation and English articles, words with a space between them."""
    bare = text.lower().translate(WITHOUT_PUNCTUATION)
    return _spaced(ARTICLES.sub(" ", bare))


def squad_words(text: str) -> list[str]:
    """Of `squad_text`."""
    return squad_text(text).split()


def korquad_text(text: str) -> str:
    """Brackets and quotes are spaces, then in lower case, without punctuation."""
    return _spaced(text.translate(BRACKETS_AS_SPACES).lower().translate(WITHOUT_PUNCTUATION))


def korquad_characters(text: str) -> list[str]:
    """Of `korquad_text`, without its spaces."""
    return list(korquad_text(text).replace(" ", ""))


def klue_text(text: str) -> str:
    """In lower case, without punctuation. KLUE-baseline's pattern for brackets matches nothing."""
    return _spaced(text.lower().translate(WITHOUT_PUNCTUATION))


def overlap_f1(true: Sequence[str], predicted: Sequence[str]) -> float:
    """F1 of what two lists share, whatever its order; 0 where it is nothing."""
    num_shared = (Counter(true) & Counter(predicted)).total()
    return 2.0 * num_shared / (len(true) + len(predicted)) if num_shared else 0.0


def run_f1(true: str, predicted: str) -> float:
    """F1 of the longest run of characters that two texts share; 1 for two empty ones."""
    if not true or not predicted:
        return float(true == predicted)
    matcher = SequenceMatcher(None, true, predicted, autojunk=False)
    return 2.0 * matcher.find_longest_match().size / (len(true) + len(predicted))


def _spaced(text: str) -> str:
    return " ".join(text.split())
