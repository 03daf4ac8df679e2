"""Prepared records in, examples for people to look at out: words, masks, segments, label, fill.

They come through the batches that training and evaluation read, so they are what a model sees.

    next sentence: random, 12 of 32 tokens (38% full), 2 masked
    A  [CLS] the cat [MASK](sees) it . [SEP]
    B  rivers(houses) are wide . [SEP]
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bert_tf.config import CONFIG_FILE, MaskingConfig, load_config
from bert_tf.data import records
from bert_tf.data.batches import masked_batches
from bert_tf.data.text.tokenizer import Tokenizer

Kind = Literal["text", "control", "masked", "random", "kept"]


@dataclass(frozen=True)
class Piece:
    """A token as it is shown."""

    text: str
    """As the model sees it, without the mark that tells whether it begins a word."""
    kind: Kind
    """`masked`, `random` and `kept` tokens are to be predicted."""
    segment: int
    original: str | None
    """What is to be predicted."""
    opens_word: bool

    def __str__(self) -> str:
        return self.text if self.original is None else f"{self.text}({self.original})"


@dataclass(frozen=True)
class InspectedExample:
    """One row of a batch without its padding."""

    pieces: tuple[Piece, ...]
    label: str | None
    """`random` or `follows`; None where there is no second text."""
    max_seq_length: int

    @property
    def fill(self) -> float:
        """Share of `max_seq_length` that is not padding."""
        return len(self.pieces) / self.max_seq_length

    @property
    def headline(self) -> str:
        """Label, fill and masks in one line."""
        num_masked = sum(piece.original is not None for piece in self.pieces)
        return (
            f"next sentence: {self.label or 'no label'}, {len(self.pieces)} of "
            f"{self.max_seq_length} tokens ({self.fill:.0%} full), {num_masked} masked"
        )

    def segments(self) -> Iterator[tuple[str, list[Piece]]]:
        """("A", its pieces), ("B", its pieces)."""
        for segment, pieces in itertools.groupby(self.pieces, key=lambda piece: piece.segment):
            yield chr(ord("A") + segment), list(pieces)

    def __str__(self) -> str:
        return "\n".join(
            [
                self.headline,
                *(f"{name}  {join_pieces(pieces)}" for name, pieces in self.segments()),
            ]
        )


def read_examples(
    records_dir: str | Path,
    *,
    split: records.Split = "train",
    num: int = 5,
    seed: int = 0,
    overrides: Iterable[str] = (),
) -> list[InspectedExample]:
    """The first `num` examples of training or evaluation under `seed`; fewer if there are fewer.

    The masks follow the `masking` section of the records' own `config.yaml`, changed by
    `overrides`, such as `masking.masked_lm_prob=0.2`.

    Raises:
        FileNotFoundError, ValueError: the records are missing or damaged, the split is empty, or
            an override is wrong.
    """
    manifest = records.read_manifest(records_dir)
    num = min(num, manifest.num_examples(split))
    masking = _masking(records_dir, overrides=overrides)
    if split == "eval":
        # Refuses an empty split itself.
        batches = masked_batches.evaluation_batches(
            records_dir, batch_size=max(num, 1), masking=masking, seed=seed, max_steps=1
        )
    else:
        batches = masked_batches.training_batches(
            records_dir, batch_size=num, masking=masking, seed=seed
        )
    tokenizer = Tokenizer.load(records_dir)
    batch = next(iter(batches.take(1).as_numpy_iterator()))
    return [
        _example({name: values[row] for name, values in batch.items()}, tokenizer=tokenizer)
        for row in range(num)
    ]


def join_pieces(pieces: Iterable[Piece]) -> str:
    """Pieces as text, a space before each word."""
    return "".join(f" {piece}" if piece.opens_word else str(piece) for piece in pieces).strip()


def _masking(records_dir: str | Path, *, overrides: Iterable[str]) -> MaskingConfig:
    path = Path(records_dir) / CONFIG_FILE
    return load_config(path if path.is_file() else None, overrides=overrides).masking


def _example(row: dict[str, np.ndarray[Any, Any]], *, tokenizer: Tokenizer) -> InspectedExample:
    originals = {
        int(position): int(original)
        for position, original, weight in zip(
            row["masked_lm_positions"],
            row["masked_lm_ids"],
            row["masked_lm_weights"],
            strict=True,
        )
        if weight
    }
    num_tokens = int(row["input_mask"].sum())
    pieces = tuple(
        _piece(
            int(row["input_ids"][position]),
            original=originals.get(position),
            segment=int(row["segment_ids"][position]),
            tokenizer=tokenizer,
        )
        for position in range(num_tokens)
    )
    label = None
    if row["next_sentence_weights"]:
        label = "random" if row["next_sentence_labels"] else "follows"
    return InspectedExample(pieces, label, max_seq_length=len(row["input_mask"]))


def _piece(token: int, *, original: int | None, segment: int, tokenizer: Tokenizer) -> Piece:
    kind: Kind
    if original is not None:
        is_mask = token == tokenizer.mask_id
        kind = "masked" if is_mask else "kept" if token == original else "random"
    else:
        kind = "control" if token in tokenizer.special_ids else "text"
    # A replaced token stands where the original stood: that one says whether a word goes on.
    opens_word = not tokenizer.continues_word[token if original is None else original]
    spelled = tokenizer.vocabulary[token]
    shown = spelled if kind == "random" else tokenizer.token_text(spelled)
    to_predict = None if original is None else tokenizer.vocabulary[original]
    return Piece(shown, kind, segment, to_predict, bool(opens_word))
