"""One spooled shard in, one finished record file out: the unit of parallel and resumed work.

Stages of a block, each a few array operations: paragraphs -> sentences -> token ids (one call of
the graph) -> pairs -> records in random order. A shard is a function of its spool file and its
task: the process, the time and the number of attempts change nothing in it.
"""

import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bert_tf.config import ExamplesConfig, TokenizerConfig
from bert_tf.data import records
from bert_tf.data.preparation import spool
from bert_tf.data.preparation.sentence_pairs import Pairs, make_pairs, to_examples
from bert_tf.data.preparation.token_block import TokenBlock
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text import pieces
from bert_tf.data.text.tokenizer import Tokenizer

PAIRS_AT_ONCE = 1 << 14
"""Made into records together: several times more than a block of short documents gives."""


@dataclass(frozen=True, kw_only=True)
class SpooledTask:
    """What every shard depends on. Small, and sent to the process that does the work."""

    split: records.Split
    index: int
    spool_path: Path
    shard_path: Path
    tokenizer_dir: Path
    tokenizer: TokenizerConfig
    """The settings that `tokenizer_dir` must have."""
    vocabulary_sha256: str
    """Of the vocabulary that `tokenizer_dir` must have."""


@dataclass(frozen=True, kw_only=True)
class ShardTask(SpooledTask):
    """All that one shard of records depends on."""

    examples: ExamplesConfig
    paragraphs_are_sentences: bool = False
    compression: str
    seed: int

    def write(self, *, is_growing: bool = False) -> records.Shard:
        """See `write_shard`."""
        return write_shard(self, is_growing=is_growing)


def write_shard(task: ShardTask, *, is_growing: bool = False) -> records.Shard:
    """Make the records of one shard; with `is_growing` while its spool file may still grow."""
    return records.write_shard(
        task.shard_path,
        _examples(task, spool.read_blocks(task.spool_path, is_growing=is_growing)),
        split=task.split,
        compression=task.compression,
    )


def set_up_worker() -> None:
    """Keep a worker process off the accelerators, on one core, and alive no longer than its parent.

    There is a process a core. A parent that is killed sends no signal, so each worker watches it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _examples(task: ShardTask, blocks: Iterable[spool.Block]) -> Iterator[records.Examples]:
    tokenizer, encode = _encoder(
        task.tokenizer_dir,
        settings=task.tokenizer,
        vocabulary_sha256=task.vocabulary_sha256,
        paragraphs_are_sentences=task.paragraphs_are_sentences,
    )
    for number, block in enumerate(blocks):
        rng = np.random.default_rng(derive_seed(task.seed, task.split, task.index, number))
        tokens = _to_ids(block, encode=encode)
        if not tokens.num_documents:
            continue
        try:
            pairs = make_pairs(tokens, config=task.examples, rng=rng)
        except ValueError as error:
            raise ValueError(
                f"{task.shard_path}: {task.split} shard {task.index} has {tokens.num_documents} of "
                f"{len(block.document_splits) - 1} document(s) in a block whose text gives a "
                f"token; {error} Or lower records.num_shards, so that a shard has more documents."
            ) from error
        order = rng.permutation(len(pairs.labels))
        for start in range(0, len(order), PAIRS_AT_ONCE):
            some = order[start : start + PAIRS_AT_ONCE]
            yield to_examples(
                tokens.ids,
                Pairs(*(column[some] for column in pairs)),
                cls_id=tokenizer.cls_id,
                sep_id=tokenizer.sep_id,
            )


@functools.lru_cache(maxsize=1)
def _encoder(
    directory: Path,
    *,
    settings: TokenizerConfig,
    vocabulary_sha256: str,
    paragraphs_are_sentences: bool,
) -> tuple[Tokenizer, Any]:
    """The tokenizer of a folder and its graph; the folder may get another one in one process."""
    tokenizer = load_tokenizer(directory, settings=settings, vocabulary_sha256=vocabulary_sha256)

    def encode(paragraphs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if paragraphs_are_sentences:
            sentences = tf.RaggedTensor.from_uniform_row_length(paragraphs, 1)
        else:
            sentences = tokenizer.split_sentences(paragraphs)
        ids = tokenizer.tokenize(sentences.values)
        return ids.values, ids.row_splits, sentences.row_splits

    # Without AutoGraph, which would take a second to find nothing to convert.
    signature = [tf.TensorSpec([None], tf.string)]
    return tokenizer, tf.function(encode, input_signature=signature, autograph=False)


def load_tokenizer(
    directory: Path, *, settings: TokenizerConfig, vocabulary_sha256: str
) -> Tokenizer:
    """The tokenizer of a folder. Raises ValueError if it is another than records are made with."""
    tokenizer = Tokenizer.load(directory, settings)
    if tokenizer.vocabulary_sha256 != vocabulary_sha256:
        raise ValueError(
            f"{directory / tokenizer.vocabulary_file}: a vocabulary must stay as it is while "
            f"records are made with it. Received: SHA-256 {tokenizer.vocabulary_sha256}, not "
            f"{vocabulary_sha256}. Run `bert-tf prepare` again."
        )
    return tokenizer


def _to_ids(block: spool.Block, *, encode: Any) -> TokenBlock:
    """The block's token ids; a long block, or paragraph, takes several calls of the graph."""
    ids: list[npt.NDArray[np.int32]] = []
    sentence_lengths: list[npt.NDArray[np.int64]] = []
    num_sentences = np.zeros([len(block.paragraphs)], np.int64)
    for batch in pieces.batches(block.paragraphs):
        of_batch, sentence_splits, piece_splits = encode(tf.constant(batch.pieces, tf.string))
        ids.append(of_batch.numpy())
        sentence_lengths.append(np.diff(sentence_splits.numpy()))
        np.add.at(num_sentences, batch.owners, np.diff(piece_splits.numpy()))
    paragraph_splits = np.concatenate([[0], np.cumsum(num_sentences)])
    return TokenBlock.without_empty(
        np.concatenate(ids),
        np.concatenate([[0], np.cumsum(np.concatenate(sentence_lengths))]),
        paragraph_splits[block.document_splits],
    )
