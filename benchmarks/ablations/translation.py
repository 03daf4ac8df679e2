"""One small Transformer, trained from English to German with one thing changed (Multi30k)."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.ablations import training, variants
from bert_tf.config import ModelConfig, TokenizerConfig, VocabularyConfig
from bert_tf.data.batches.encoded_pairs import (
    EncodedPairs,
    Framing,
    HeldTokens,
    PairLimits,
    encode_pairs,
)
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.objective import SequenceToSequenceObjective
from bert_tf.models.sequence_to_sequence import EncoderDecoder

BASE: dict[str, Any] = {
    "encoder_positions": "sinusoidal",
    "decoder_positions": "sinusoidal",
    "num_layers": 2,
    "hidden_size": 128,
    "num_heads": 4,
    "learning_rate": 2e-3,
    "warmup_share": 0.1,
    "num_steps": 700,
    "batch_size": 64,
    "length": 24,
    "vocab_size": 2000,
}
SIDES = ("en", "de")


def measure(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """Metrics of `training.train` on the validation part; pairs that are longer are left out."""
    files = data / "multi30k"
    tokenizer = _tokenizer(files, folder, settings)
    pairs, held_out = (_encode(files, part, tokenizer, settings) for part in ("train", "val"))
    batch_size = settings["batch_size"]
    return training.train(
        lambda: make_model(settings, vocab_size=tokenizer.vocab_size, seed=seed),
        SequenceToSequenceObjective(),
        term="target_token",
        train_batches=lambda: _training_batches(pairs, batch_size=batch_size, seed=seed),
        eval_batches=lambda: _batches(held_out, _fitting(held_out), batch_size=batch_size),
        settings=settings,
        seed=seed,
    )


def make_model(settings: Mapping[str, Any], *, vocab_size: int, seed: int) -> keras.Model:
    """The variant that `settings` describe, its weights drawn from the seed."""
    stacks = ("encoder", "decoder")
    kinds = {stack: settings[f"{stack}_positions"] for stack in stacks}
    is_learned = "learned" in kinds.values()
    config = ModelConfig(
        size="transformer_tiny",
        num_hidden_layers=settings["num_layers"],
        num_decoder_layers=settings["num_layers"],
        hidden_size=settings["hidden_size"],
        num_attention_heads=settings["num_heads"],
        intermediate_size=4 * settings["hidden_size"],
        vocab_size=vocab_size,
        max_position_embeddings=settings["length"],
        position_embedding="learned" if is_learned else "sinusoidal",
        scale_embeddings=True,
        hidden_dropout_prob=0.0,
    )
    model = EncoderDecoder(config)
    for stack in stacks:
        if kinds[stack] == "none":
            variants.take_positions_away(getattr(model, stack))
    model.build(None)
    variants.set_initial_weights(model, seed=seed)
    return model


def _tokenizer(files: Path, folder: Path, settings: Mapping[str, Any]) -> Tokenizer:
    """WordPiece of both languages; learned once."""
    folder = folder / f"multi30k-{settings['vocab_size']}"
    if not (folder / "vocab.txt").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        texts = [text for side in SIDES for text in _read(files, "train", side)]
        config = TokenizerConfig(lower_case=True)
        vocabulary = VocabularyConfig(size=settings["vocab_size"], limit_alphabet=100)
        tokens = learn_vocabulary(texts, config=vocabulary, tokenizer=config)
        WordPieceTokenizer(tokens, lower_case=True).save(folder)
    return Tokenizer.load(folder)


def _encode(
    files: Path, part: str, tokenizer: Tokenizer, settings: Mapping[str, Any]
) -> EncodedPairs:
    sources, targets = (HeldTokens.of(_read(files, part, side), tokenizer) for side in SIDES)
    framing = Framing(
        pad_id=tokenizer.pad_id,
        start_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        source_prefix=(tokenizer.cls_id,),
        source_suffix=(tokenizer.sep_id,),
    )
    limits = PairLimits(settings["length"], settings["length"])
    return encode_pairs(
        sources, targets, framing=framing, limits=limits, where=lambda row: f"{part}:{row + 1}"
    )


def _read(files: Path, part: str, side: str) -> list[str]:
    with gzip.open(files / f"{part}.{side}.gz", "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def _training_batches(pairs: EncodedPairs, *, batch_size: int, seed: int) -> tf.data.Dataset:
    """Endless: the pairs in an order of the seed, over and over."""
    order = np.random.default_rng(derive_seed(seed, "pairs")).permutation(_fitting(pairs))
    return _batches(pairs, order, batch_size=batch_size).repeat()


def _fitting(pairs: EncodedPairs) -> np.ndarray:
    """The numbers of the pairs of which nothing is cut."""
    room, target_room = pairs.rooms
    return np.flatnonzero((pairs.sources.lengths <= room) & (pairs.targets.lengths <= target_room))


def _batches(pairs: EncodedPairs, order: np.ndarray, *, batch_size: int) -> tf.data.Dataset:
    """Pairs that fill no batch are left out: all batches have one number of rows."""
    rows = tf.data.Dataset.from_tensor_slices(order.astype(np.int32))
    batches = rows.batch(batch_size, drop_remainder=True)
    return batches.map(lambda row: pairs.features(row, tf.constant(0, tf.int64)))
