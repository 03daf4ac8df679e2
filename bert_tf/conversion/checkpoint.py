"""The form that checkpoints of every foreign format are read into."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras

from bert_tf.config import ModelConfig
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import Entry, Reader, Shape, load_tensors, weights_by_name
from bert_tf.system.listing import AS_LINES, listed
from bert_tf.tasks.models import build_model
from bert_tf.tasks.table import task_of

logger = logging.getLogger(__name__)

FEW_PLACEHOLDERS, MOST_PLACEHOLDERS = 128, 1_000_000
"""Rows of the embedding table without a token: as checkpoints round it up; more than any does."""


@dataclass(frozen=True)
class Model:
    """A model with all that belongs to it."""

    network: keras.Model
    description: ModelDescription
    tokenizer: Tokenizer | None
    """None where the checkpoint came without a vocabulary."""


@dataclass(frozen=True)
class ForeignCheckpoint:
    """An opened checkpoint: what model it holds, and how its tensors become our weights."""

    source: str
    """Where it is, for errors."""
    description: ModelDescription
    tokenizer: Tokenizer | None
    entries: Sequence[Entry]
    shapes: Mapping[str, Shape]
    """Of every tensor that is a weight, by its name in the checkpoint."""
    read: Reader

    def build(self, *, dtype: str = "float32") -> Model:
        """The model with all its weights.

        Raises:
            ValueError: lists all missing, unexpected and mis-shaped tensors.
        """
        network = build_model(self.description, dtype=dtype)
        load_tensors(
            weights_by_name(network),
            self.entries,
            shapes=self.shapes,
            read=self.read,
            source=self.source,
        )
        return Model(network, self.description, self.tokenizer)


@dataclass(frozen=True)
class NameTables:
    """A format's names of our weights (see `entries_from_table`), part by part."""

    encoder: Mapping[str, str]
    pooler: Mapping[str, str]
    masked_lm: Mapping[str, str]
    next_sentence: Mapping[str, str]
    heads: Mapping[str, Mapping[str, str]]
    """Of other kinds of models than `pretraining` and `encoder`."""

    def of(self, description: ModelDescription) -> dict[str, str]:
        """The names of all weights of a model."""
        is_pretraining = description.kind == "pretraining"
        return {
            **self.encoder,
            **(self.pooler if description.has_pooler else {}),
            **(self.masked_lm if is_pretraining and description.has_masked_lm else {}),
            **(self.next_sentence if is_pretraining and description.has_next_sentence else {}),
            **self.heads.get(head_layout(description), {}),
        }


def head_layout(description: ModelDescription) -> str:
    """The kind of model whose head has the same weights: of a task, what it says."""
    task = task_of(description)
    return (task and task.head_layout) or description.kind


def with_placeholders(tokens: Sequence[str], *, vocab_size: int, source: str) -> list[str]:
    """`tokens`, filled up to the rows of the embedding table with `[unused…]`.

    Some checkpoints round the table up. No text is ever tokenised to such an entry.

    Raises:
        ValueError: there are more tokens than rows.
    """
    if len(tokens) > vocab_size:
        raise ValueError(
            f"{source}: the vocabulary must have at most vocab_size entries. Received: "
            f"{len(tokens):,} tokens, vocab_size={vocab_size:,}. Use the vocabulary that the "
            "model was trained with."
        )
    num_unused = vocab_size - len(tokens)
    if num_unused > MOST_PLACEHOLDERS:
        raise ValueError(
            f"{source}: vocab_size must be about the number of tokens. Received: {vocab_size:,} "
            f"and {len(tokens):,} tokens. Use the vocabulary that the model was trained with."
        )
    if num_unused > max(FEW_PLACEHOLDERS, len(tokens) // 10):
        logger.warning(
            "%s: %s of %s rows of the embedding table have no token. Is the vocabulary whole?",
            *(source, f"{num_unused:,}", f"{vocab_size:,}"),
        )
    known = set(tokens)
    numbers = (f"[unused{n}]" for n in range(vocab_size + len(tokens)))
    unused = (name for name in numbers if name not in known)
    return [*tokens, *(next(unused) for _ in range(vocab_size - len(tokens)))]


def refuse(source: str, faults: Sequence[str], *, what: str) -> None:
    """Raise ValueError with all `faults`, if there are any."""
    if faults:
        shown = listed(faults, **AS_LINES)
        raise ValueError(f"{source}: {what} Received:\n  {shown}")


def unlike_bert(architecture: ModelConfig) -> list[str]:
    """Settings that no other format here can say: what must not be lost in writing."""
    head = {
        "masked_lm_act": architecture.hidden_act,
        "masked_lm_layer_norm_eps": architecture.layer_norm_eps,
    }
    faults = [
        f"{name}={getattr(architecture, name)!r}"
        for name, same in head.items()
        if getattr(architecture, name) not in (None, same)
    ]
    berts = {
        "norm_first": False,
        "position_embedding": "learned",
        "scales_embeddings": False,
        "has_embedding_layer_norm": True,
        "num_decoder_layers": 0,
    }
    faults += [
        f"{name}={getattr(architecture, name)!r}"
        for name, same in berts.items()
        if getattr(architecture, name) != same
    ]
    if architecture.type_vocab_size == 0:
        faults.append("type_vocab_size=0")
    return faults
