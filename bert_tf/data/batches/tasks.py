"""Labelled texts in, classification batches out.

A .tsv has a header, one record a line and no quoting; a .jsonl has one object a line; either may
be .gz. Texts are tokenized once, all together, and kept as ragged ids; see `length_groups` for
which of them make a batch.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import length_groups
from bert_tf.data.batches.epochs import worker_rows
from bert_tf.data.corpora import corpus
from bert_tf.data.text import packing
from bert_tf.data.text.tokenizer import Tokenizer

SUFFIXES = (".tsv", ".jsonl", ".tsv.gz", ".jsonl.gz")


@dataclass(frozen=True)
class LabelledText:
    """Texts, or pairs of texts, with their labels, and where each stands if they are of a file."""

    texts: list[str]
    text_pairs: list[str] | None
    labels: list[str]
    path: Path | None = field(default=None, compare=False)
    line_numbers: Sequence[int] = field(default=(), compare=False, repr=False)
    """Of each record, from 1; empty without `path`."""

    def where(self, row: int) -> str:
        """`path:line` of a record, or its number from 1 if it is of no file."""
        if self.path is None:
            return f"record {row + 1}"
        return f"{self.path}:{self.line_numbers[row]}"


def read_labelled(
    path: str | Path, *, text_field: str, text_pair_field: str | None = None, label_field: str
) -> LabelledText:
    """All records of a file. A text may be empty, a label may not; JSON numbers become text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: path and line of what is wrong: kind of file, field, column count, label,
            encoding, or no record at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: labelled data must exist. Received: no such file. "
            "Set finetuning.train_path and finetuning.eval_path to existing files."
        )
    if not path.name.endswith(SUFFIXES):
        raise ValueError(
            f"{path}: labelled data must be one of {', '.join(SUFFIXES)}. Received: {path.name!r}. "
            "Convert it."
        )
    is_json = path.name.removesuffix(".gz").endswith(".jsonl")
    rows = corpus.read_json_lines(path, encoding_errors="error") if is_json else _tsv_rows(path)
    texts: list[str] = []
    text_pairs: list[str] = []
    labels: list[str] = []
    line_numbers = array("Q")
    for number, row in rows:
        where = f"{path}:{number}"
        texts.append(_field(row, text_field, where=where))
        if text_pair_field is not None:
            text_pairs.append(_field(row, text_pair_field, where=where))
        label = _field(row, label_field, where=where).strip()
        if not label:
            raise ValueError(
                f"{where}: a record needs a label. Received: an empty {label_field!r}. "
                "Fill it in or remove the line."
            )
        labels.append(label)
        line_numbers.append(number)
    if not texts:
        raise ValueError(
            f"{path}:1: labelled data needs at least one record. Received: none. "
            "Give a file with records."
        )
    return LabelledText(
        texts,
        text_pairs if text_pair_field is not None else None,
        labels,
        path=path,
        line_numbers=line_numbers,
    )


def class_names(labels: Sequence[str]) -> list[str]:
    """Different labels, sorted; by value if all are whole numbers, so that 10 comes after 9."""
    names = set(labels)
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def check_labels(data: LabelledText, *, class_names: Sequence[str]) -> None:
    """Raise ValueError, with path and line of the first, if a label is not in `class_names`."""
    names = set(class_names)
    unknown = [row for row, label in enumerate(data.labels) if label not in names]
    if unknown:
        received = sorted({data.labels[row] for row in unknown})
        more = f", and {len(received) - 10} more" if len(received) > 10 else ""
        raise ValueError(
            f"{data.where(unknown[0])}: every label must be one of the training data's: "
            f"{', '.join(class_names)}. Received: {data.labels[unknown[0]]!r}; in all "
            f"{len(unknown)} record(s) with {', '.join(map(repr, received[:10]))}{more}. "
            "Repair the data, or train with examples of every class."
        )


def classification_batches(
    data: LabelledText,
    *,
    tokenizer: Tokenizer,
    class_names: Sequence[str],
    max_seq_length: int,
    batch_size: int,
    is_training: bool,
    group_by_length: bool = False,
    seed: int | None = None,
    start_step: int = 0,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """Batches padded to the longest text in them, rounded up to one of a few lengths.

    Training: endless, every example once an epoch in an order that is a function of (seed, epoch);
    the first batch is that of `start_step`, and a batch may span two epochs. Otherwise one pass,
    the last batch filled up with copies of weight 0. A worker gets its rows of every batch, B =
    `batch_size` / `num_workers`, padded to the longest of these. `group_by_length`: texts
    of like length are batched together, in training still in random order (see `length_groups`),
    otherwise the longest first; without it one pass is in order. Too long texts are cut at the end,
    of a pair the longer first.

    Elements: `input_ids`, `input_mask`, `segment_ids` int32 (B, length); `labels` int32 (B), the
    index in `class_names`; `weights` float32 (B).

    Memory, the whole time: of the texts as cut, 4 bytes a token, and about 24 a text (32 a pair).

    Raises:
        ValueError: a label is not in `class_names` (see `check_labels`), training has no seed, or
            the batch cannot be dealt to the workers.
    """
    check_labels(data, class_names=class_names)
    encoded = _encode(
        data, tokenizer=tokenizer, class_names=class_names, max_seq_length=max_seq_length
    )
    if is_training:
        if seed is None:
            raise ValueError("training batches need a seed. Received: None. Give seed=….")
        batches = length_groups.training_rows(
            encoded.lengths,
            batch_size=batch_size,
            seed=seed,
            start_step=start_step,
            group_by_length=group_by_length,
        )
    else:
        batches = length_groups.evaluation_rows(
            encoded.lengths, batch_size=batch_size, group_by_length=group_by_length
        )

    own = worker_rows(batch_size, num_workers=num_workers, worker_index=worker_index)
    num_own = own.stop - own.start

    def make_batch(rows: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, weights = rows[own], weights[own]
        features = _features(encoded, rows, tokenizer=tokenizer, max_seq_length=max_seq_length)
        features |= {"labels": tf.gather(encoded.labels, rows), "weights": weights}
        return {
            name: tf.ensure_shape(values, [num_own, None][: values.shape.rank])
            for name, values in features.items()
        }

    batches = batches.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


class _Encoded(NamedTuple):
    """All texts as numbers."""

    first: tf.RaggedTensor
    second: tf.RaggedTensor | None
    labels: tf.Tensor
    lengths: np.ndarray
    """The least length that a batch with the text is padded to."""


def _tsv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    header: list[str] | None = None
    for number, line in corpus.read_lines(path, encoding_errors="error"):
        line = line.rstrip("\r\n")
        if header is None:
            header = line.split("\t")
            continue
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            raise ValueError(
                f"{path}:{number}: a line needs the {len(header)} columns of the header "
                f"({', '.join(header)}). Received: {len(cells)}. Tabs part columns, quotes do not "
                "protect them: repair the line."
            )
        yield number, dict(zip(header, cells, strict=True))


def _field(row: dict[str, Any], name: str, *, where: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        received = f"{value!r}" if name in row else f"fields {', '.join(row)}"
        raise ValueError(
            f"{where}: a record needs text or a whole number in field {name!r}. Received: "
            f"{received}. Set finetuning.text_field, text_pair_field or label_field."
        )
    return str(value)


def _tokenize(texts: list[str], *, tokenizer: Tokenizer, max_tokens: int) -> tf.RaggedTensor:
    ids = tokenizer.tokenize(tf.constant(texts, tf.string))
    return packing.keep_first(ids, lengths=tf.minimum(ids.row_lengths(), max_tokens))


def _encode(
    data: LabelledText, *, tokenizer: Tokenizer, class_names: Sequence[str], max_seq_length: int
) -> _Encoded:
    ids = {name: index for index, name in enumerate(class_names)}
    first = _tokenize(data.texts, tokenizer=tokenizer, max_tokens=max_seq_length)
    packed_lengths = first.row_lengths().numpy() + 2  # [CLS] and [SEP]
    second = None
    if data.text_pairs is not None:
        second = _tokenize(data.text_pairs, tokenizer=tokenizer, max_tokens=max_seq_length)
        packed_lengths += second.row_lengths().numpy() + 1
    lengths = np.asarray(length_groups.batch_lengths(max_seq_length), np.int32)
    return _Encoded(
        first,
        second,
        tf.constant([ids[label] for label in data.labels], tf.int32),
        lengths[np.searchsorted(lengths, np.minimum(packed_lengths, max_seq_length))],
    )


def _features(
    encoded: _Encoded, rows: tf.Tensor, *, tokenizer: Tokenizer, max_seq_length: int
) -> dict[str, tf.Tensor]:
    features = packing.pack(
        tf.gather(encoded.first, rows),
        None if encoded.second is None else tf.gather(encoded.second, rows),
        max_seq_length=max_seq_length,
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
        pad_id=tokenizer.pad_id,
    )
    length = tf.reduce_max(tf.gather(encoded.lengths, rows))
    return packing.pad_to(features, length, pad_id=tokenizer.pad_id)
