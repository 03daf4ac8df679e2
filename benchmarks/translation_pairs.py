"""What the benchmarks of sequence to sequence read: sentences, a vocabulary, a model's description.

Files as Multi30k ships them: `train.{en,de}.gz`, `test_2016_flickr.{en,de}.gz`.
"""

from pathlib import Path

from bert_tf.config import (
    FinetuningConfig,
    ModelConfig,
    TableConfig,
    TokenizerConfig,
    VocabularyConfig,
)
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.examples import TEXT, Examples
from bert_tf.tasks.sequence_to_sequence import SequenceToSequence
from bert_tf.tasks.table import open_task

TRAIN, TEST = "train", "test_2016_flickr"
MAX_SEQ_LENGTH = 128


def open_translation(batch_tokens: int) -> SequenceToSequence:
    """The task, its batches of so many tokens."""
    section = FinetuningConfig(task={"name": "sequence_to_sequence", "batch_tokens": batch_tokens})
    task = open_task(section)
    assert isinstance(task, SequenceToSequence)
    return task


def read_pairs(folder: Path, name: str) -> Examples:
    """English sentences and their German translations."""
    section = FinetuningConfig(task={"name": "sequence_to_sequence"}, table=TableConfig())
    table = read_table(f"{folder}/{name}.{{en,de}}.gz", config=section.table, key="--data")
    return open_task(section).read(table, section)


def learn_joint_tokenizer(pairs: Examples, *, vocab_size: int) -> WordPieceTokenizer:
    """One vocabulary of both languages."""
    texts = [*pairs.inputs[TEXT], *pairs.targets]
    vocabulary = VocabularyConfig(size=vocab_size)
    return WordPieceTokenizer(
        learn_vocabulary(iter(texts), config=vocabulary, tokenizer=TokenizerConfig())
    )


def describe_model(size: str, *, vocab_size: int) -> ModelDescription:
    """A model of one of the `transformer_` sizes."""
    return ModelDescription(
        kind="sequence_to_sequence",
        architecture=ModelConfig(size=size, vocab_size=vocab_size),  # type: ignore[arg-type]
        max_seq_length=MAX_SEQ_LENGTH,
        has_pooler=False,
    )
