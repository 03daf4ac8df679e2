"""A tokenizer and texts it was not learned from in, how well it fits them out.

`vocabulary_report.md` for people and `vocabulary_report.json` for programs, beside the vocabulary.
All counts come from the tokenizer's own graph, and what opens a word the tokenizer says.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.data.text.pieces import batches
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.system.files import write_whole

REPORT_FILE, REPORT_JSON_FILE = "vocabulary_report.md", "vocabulary_report.json"
BATCH_BYTES = 1 << 20
NUM_MISSING_SHOWN = 20


@dataclasses.dataclass
class VocabularyReport:
    """Counts over running text; the shares are 0 without text."""

    num_documents: int = 0
    num_words: int = 0
    num_tokens: int = 0
    num_unknown: int = 0
    """Words that became [UNK]."""
    num_whole_words: int = 0
    """Words that are one token of the vocabulary."""
    num_characters: int = 0
    """Without white space."""
    missing_characters: Counter[str] = dataclasses.field(default_factory=Counter)
    """Characters that are no token, with their counts."""

    @property
    def coverage(self) -> float:
        """Share of the words that the vocabulary can write: all but [UNK]."""
        return 1 - self.num_unknown / self.num_words if self.num_words else 0.0

    @property
    def character_coverage(self) -> float:
        """Share of the characters that the vocabulary has."""
        missing = self.missing_characters.total()
        return 1 - missing / self.num_characters if self.num_characters else 0.0

    @property
    def whole_word_share(self) -> float:
        """Share of the words that are one token."""
        return self.num_whole_words / self.num_words if self.num_words else 0.0

    @property
    def unknown_rate(self) -> float:
        """Share of the tokens that are [UNK]."""
        return self.num_unknown / self.num_tokens if self.num_tokens else 0.0

    @property
    def fertility(self) -> float:
        """Tokens a word."""
        return self.num_tokens / self.num_words if self.num_words else 0.0

    def summary(self) -> str:
        """One line."""
        if not self.num_words:
            return "no held-out text to measure the vocabulary on"
        return (
            f"{self.num_documents:,} held-out documents: coverage {self.coverage:.2%}, [UNK] "
            f"{self.unknown_rate:.2%} of the tokens, {self.fertility:.2f} tokens a word"
        )


def measure_vocabulary(tokenizer: Tokenizer, texts: Iterable[str]) -> VocabularyReport:
    """How `tokenizer` does on `texts`, streaming.

    With tokens "low", "##er", "new" the text "low lower new 中" has 4 words and 5 tokens, one of
    them [UNK]: coverage 75%, [UNK] rate 20%, fertility 1.25, two whole words.
    """
    has = {piece for piece in map(tokenizer.token_text, tokenizer.vocabulary) if len(piece) == 1}
    report = VocabularyReport()
    for batch in batches((text.encode() for text in texts), piece_bytes=BATCH_BYTES):
        normalized = tokenizer.normalize(tf.constant(batch.pieces, tf.string))
        ids = tokenizer.tokenize(tf.constant(batch.pieces, tf.string)).values.numpy()
        # A piece starts with a word, so no word runs over from one to the next.
        is_open = ~tokenizer.continues_word[ids]
        ends_word = np.append(is_open[1:], True)
        is_open &= ~(tokenizer.is_white_space[ids] & ends_word[: len(ids)])  # before another word
        is_unknown = ids == tokenizer.unk_id
        report.num_documents = batch.owners[-1] + 1
        report.num_tokens += len(ids)
        report.num_words += int(is_open.sum())
        report.num_unknown += int(is_unknown.sum())
        report.num_whole_words += int((is_open & ends_word[: len(ids)] & ~is_unknown).sum())
        for text in normalized.numpy():
            characters = Counter("".join(text.decode().split()))
            report.num_characters += characters.total()
            for character in characters.keys() - has:
                report.missing_characters[character] += characters[character]
    return report


def write_report(
    report: VocabularyReport, directory: str | Path, *, vocab_size: int, learned: dict[str, Any]
) -> Path:
    """Write both files. `learned`: what the vocabulary was learned from, name to number."""
    directory = Path(directory)
    numbers = {
        "vocab_size": vocab_size,
        **learned,
        **{
            field.name: getattr(report, field.name)
            for field in dataclasses.fields(report)
            if field.name != "missing_characters"
        },
        "coverage": report.coverage,
        "character_coverage": report.character_coverage,
        "whole_word_share": report.whole_word_share,
        "unknown_rate": report.unknown_rate,
        "fertility": report.fertility,
        "missing_characters": dict(_commonest(report.missing_characters)),
    }
    text = json.dumps(numbers, indent=2, ensure_ascii=False) + "\n"
    write_whole(directory / REPORT_JSON_FILE, text)
    return write_whole(directory / REPORT_FILE, _to_markdown(report, numbers))


def _commonest(characters: Counter[str]) -> list[tuple[str, int]]:
    ordered = sorted(characters.items(), key=lambda item: (-item[1], item[0]))
    return ordered[:NUM_MISSING_SHOWN]


def _to_markdown(report: VocabularyReport, numbers: dict[str, Any]) -> str:
    lines = [
        "# Vocabulary",
        "",
        f"{numbers['vocab_size']:,} tokens, learned from "
        f"{numbers['learned_documents']:,} documents ({numbers['learned_bytes']:,} bytes"
        + (", a sample)." if numbers["is_sample"] else ")."),
        "",
        "## On held-out text",
        "",
    ]
    if not report.num_words:
        hint = "No document is held out: raise corpus.held_out_share for a measurement."
        return "\n".join([*lines, hint, ""])
    rows = [
        ("documents", f"{report.num_documents:,}"),
        ("words", f"{report.num_words:,}"),
        ("tokens", f"{report.num_tokens:,}"),
        ("coverage: words that are not [UNK]", f"{report.coverage:.3%}"),
        ("characters that the vocabulary has", f"{report.character_coverage:.3%}"),
        ("words that are one token", f"{report.whole_word_share:.2%}"),
        ("[UNK] rate: share of the tokens", f"{report.unknown_rate:.3%}"),
        ("fertility: tokens a word", f"{report.fertility:.3f}"),
    ]
    lines += [
        "| measure | value |",
        "|---|---:|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    if report.missing_characters:
        shown = ", ".join(
            f"U+{ord(character):04X} {character} ({count:,})"
            for character, count in _commonest(report.missing_characters)
        )
        lines += ["", f"Characters without a token, commonest first: {shown}."]
    return "\n".join([*lines, ""])
