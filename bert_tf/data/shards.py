"""One spooled shard in, one finished record file out: the unit of parallel and resumed work.

Stages of a block: paragraphs -> sentences -> token ids (one call of the graph) -> pairs -> records
in random order. A shard is a function of its spool file and its task, so who makes it, when and
how often does not show.
"""

import functools
import gc
import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import ExamplesConfig, TokenizerConfig
from bert_tf.data import records, sentence_pairs, spool
from bert_tf.data.seeds import derive_seed
from bert_tf.data.tokenizer import Tokenizer
from bert_tf.data.vocabulary import VOCABULARY_FILE


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """All that one shard depends on. Small, and sent to the process that does the work."""

    split: records.Split
    index: int
    spool_path: Path
    shard_path: Path
    tokenizer_dir: Path
    tokenizer: TokenizerConfig
    """The settings that `tokenizer_dir` must have."""
    vocabulary_sha256: str
    """Of the `vocab.txt` that `tokenizer_dir` must have."""
    examples: ExamplesConfig
    paragraphs_are_sentences: bool = False
    compression: str
    seed: int


def write_shard(task: ShardTask) -> records.Shard:
    """Make the records of one shard."""
    # The collector walks all the lists of token ids again and again, and finds nothing: they
    # hold no cycles. Without it a shard takes half the time.
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return records.write_shard(
            task.shard_path, _examples(task), split=task.split, compression=task.compression
        )
    finally:
        if is_collecting:
            gc.enable()


def set_up_worker() -> None:
    """Keep a worker process off the accelerators, on one core, and alive no longer than its parent.

    There is a process a core. A parent that is killed tells nobody, so each worker waits for it.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _examples(task: ShardTask) -> Iterator[records.Example]:
    tokenizer, encode = _encoder(
        task.tokenizer_dir,
        settings=task.tokenizer,
        vocabulary_sha256=task.vocabulary_sha256,
        paragraphs_are_sentences=task.paragraphs_are_sentences,
    )
    for number, block in enumerate(spool.read_blocks(task.spool_path)):
        rng = np.random.default_rng(derive_seed(task.seed, task.split, task.index, number))
        documents = _to_ids(block, encode=encode)
        if not documents:
            continue
        try:
            pairs = list(sentence_pairs.make_pairs(documents, config=task.examples, rng=rng))
        except ValueError as error:
            raise ValueError(
                f"{task.shard_path}: {task.split} shard {task.index} has {len(documents)} of "
                f"{len(block)} document(s) in a block whose text gives a token; {error} Or lower "
                "records.num_shards, so that a shard has more documents."
            ) from error
        for position in rng.permutation(len(pairs)):
            yield _example(pairs[position], tokenizer=tokenizer)


@functools.lru_cache(maxsize=1)
def _encoder(
    directory: Path,
    *,
    settings: TokenizerConfig,
    vocabulary_sha256: str,
    paragraphs_are_sentences: bool,
) -> tuple[Tokenizer, Any]:
    """The tokenizer of a folder and its graph; the folder may get another one in one process."""
    tokenizer = Tokenizer.load(directory, settings)
    if tokenizer.vocabulary_sha256 != vocabulary_sha256:
        raise ValueError(
            f"{directory / VOCABULARY_FILE}: a vocabulary must stay as it is while records are "
            f"made with it. Received: SHA-256 {tokenizer.vocabulary_sha256}, not "
            f"{vocabulary_sha256}. Run `bert-tf prepare` again."
        )

    def encode(paragraphs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if paragraphs_are_sentences:
            sentences = tf.RaggedTensor.from_uniform_row_length(paragraphs, 1)
        else:
            sentences = tokenizer.split_sentences(paragraphs)
        ids = tokenizer.tokenize(sentences.values)
        return ids.values, ids.row_splits, sentences.row_splits

    return tokenizer, tf.function(encode, input_signature=[tf.TensorSpec([None], tf.string)])


def _to_ids(block: list[list[bytes]], *, encode: Any) -> list[list[list[int]]]:
    """Documents of paragraphs to documents of sentences of ids; empty ones are left out."""
    paragraphs = [paragraph for document in block for paragraph in document]
    values, sentence_splits, paragraph_splits = encode(tf.constant(paragraphs, tf.string))
    ids = values.numpy().tolist()
    splits = sentence_splits.numpy().tolist()
    num_paragraphs = np.cumsum([0] + [len(document) for document in block])
    document_splits = paragraph_splits.numpy()[num_paragraphs].tolist()
    documents = []
    for start, end in itertools.pairwise(document_splits):
        bounds = splits[start : end + 1]
        document = [ids[a:b] for a, b in itertools.pairwise(bounds) if b > a]
        if document:
            documents.append(document)
    return documents


def _example(pair: sentence_pairs.Pair, *, tokenizer: Tokenizer) -> records.Example:
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    first = [cls, *pair.first, sep]
    if not pair.second:
        return records.Example(first, [0] * len(first), None)
    input_ids = [*first, *pair.second, sep]
    segment_ids = [0] * len(first) + [1] * (len(pair.second) + 1)
    return records.Example(input_ids, segment_ids, int(pair.is_random_next))
