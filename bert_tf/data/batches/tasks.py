"""Labelled texts in, classification batches out.

A .tsv has a header, one record a line and no quoting; a .jsonl has one object a line; either may
be .gz. Texts are tokenized once, all together, and kept as ragged ids.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.data.corpora import corpus
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text import packing
from bert_tf.data.text.tokenizer import Tokenizer

SUFFIXES = (".tsv", ".jsonl", ".tsv.gz", ".jsonl.gz")
MAX_LENGTHS = 8
"""A batch is padded to one of so many lengths: each is a graph of its own."""


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
    seed: int | None = None,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Batches padded to the longest text in them, rounded up to one of a few lengths.

    Training: endless, every example once an epoch in an order that is a function of (seed, epoch);
    the first batch is that of `start_step`, and a batch may span two epochs. Otherwise one pass in
    order, the last batch filled up with copies of weight 0. Too long texts are cut at the end, of
    a pair the longer first.

    Elements: `input_ids`, `input_mask`, `segment_ids` int32 (B, length); `labels` int32 (B), the
    index in `class_names`; `weights` float32 (B).

    Raises:
        ValueError: a label is not in `class_names` (see `check_labels`), or training has no seed.
    """
    check_labels(data, class_names=class_names)
    ids = {name: index for index, name in enumerate(class_names)}
    labels = tf.constant([ids[label] for label in data.labels], tf.int32)
    first = _tokenize(data.texts, tokenizer=tokenizer, max_tokens=max_seq_length)
    second = None
    if data.text_pairs is not None:
        second = _tokenize(data.text_pairs, tokenizer=tokenizer, max_tokens=max_seq_length)
    multiple = bucket_multiple(max_seq_length)

    def make_batch(rows: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        features = packing.pack(
            tf.gather(first, rows),
            None if second is None else tf.gather(second, rows),
            max_seq_length=max_seq_length,
            cls_id=tokenizer.cls_id,
            sep_id=tokenizer.sep_id,
            pad_id=tokenizer.pad_id,
        )
        longest = tf.shape(features["input_ids"])[1]
        length = packing.bucket_length(longest, max_seq_length=max_seq_length, multiple=multiple)
        features = packing.pad_to(features, length, pad_id=tokenizer.pad_id)
        features["labels"] = tf.gather(labels, rows)
        features["weights"] = weights
        for name, values in features.items():
            features[name] = tf.ensure_shape(values, [batch_size, None][: values.shape.rank])
        return features

    if is_training:
        if seed is None:
            raise ValueError("training batches need a seed. Received: None. Give seed=….")
        rows = _training_rows(
            len(data.texts), batch_size=batch_size, seed=seed, start_step=start_step
        )
    else:
        rows = _evaluation_rows(len(data.texts), batch_size=batch_size)
    batches = rows.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def bucket_multiple(max_seq_length: int) -> int:
    """The step between the lengths of batches: a multiple of 16, at most `MAX_LENGTHS` steps."""
    return -(-max_seq_length // (16 * MAX_LENGTHS)) * 16


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


def _training_rows(
    num_rows: int, *, batch_size: int, seed: int, start_step: int
) -> tf.data.Dataset:
    first_epoch, first_row = divmod(start_step * batch_size, num_rows)
    order_seed = tf.constant(derive_seed(seed, "order"), tf.int64)

    def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = tf.random.experimental.stateless_shuffle(
            tf.range(num_rows), seed=tf.stack([order_seed, epoch])
        )
        num_seen = tf.where(epoch == first_epoch, first_row, 0)
        return tf.data.Dataset.from_tensors(rows[num_seen:])

    rows = tf.data.Dataset.counter(first_epoch).flat_map(epoch_rows)
    rows = rows.rebatch(batch_size, drop_remainder=True)
    return rows.map(lambda batch: (batch, tf.ones([batch_size])))


def _evaluation_rows(num_rows: int, *, batch_size: int) -> tf.data.Dataset:
    num_batches = -(-num_rows // batch_size)

    def batch_rows(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.cast(index, tf.int32) * batch_size + tf.range(batch_size)
        return tf.minimum(rows, num_rows - 1), tf.cast(rows < num_rows, tf.float32)

    return tf.data.Dataset.range(num_batches).map(batch_rows)
