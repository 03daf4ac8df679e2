"""A folder of records in, a report of what it holds out: Markdown, JSON and a picture.

Documents, examples, tokens, lengths, padding and next-sentence labels come from the records. They
do not know their sentences: these are counted in the corpus, if it is still there.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import CONFIG_FILE, load_config
from bert_tf.data import records
from bert_tf.data.corpora import corpus
from bert_tf.data.text.pieces import batches
from bert_tf.data.text.sentences import split_sentences
from bert_tf.system.files import write_whole
from bert_tf.system.pictures import make_figure, save_figure, try_to_draw

logger = logging.getLogger(__name__)

REPORT_FILE, REPORT_JSON_FILE = "records_report.md", "records_report.json"
PICTURE_FILE = "records_report.png"
SPLITS: tuple[records.Split, ...] = ("train", "eval")
BATCH_RECORDS = 4096
MAX_BARS = 64

OnProgress = Callable[[str, int, int | None], None]
Counts = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class SplitReport:
    """What a split holds."""

    num_documents: int
    lengths: Counts
    """(max_seq_length + 1): examples of each length in tokens, [CLS] and [SEP] counted."""
    num_follows: int
    num_random: int

    @property
    def num_examples(self) -> int:
        """Records."""
        return int(self.lengths.sum())

    @property
    def num_tokens(self) -> int:
        """Tokens, [CLS] and [SEP] counted."""
        return int(self.lengths @ np.arange(len(self.lengths)))

    @property
    def padding_share(self) -> float:
        """Share of the positions that padding takes where each example has a row of its own."""
        num_positions = self.num_examples * (len(self.lengths) - 1)
        return 1 - self.num_tokens / num_positions if num_positions else 0.0

    def numbers(self) -> dict[str, Any]:
        """What the JSON file holds."""
        return {
            "num_documents": self.num_documents,
            "num_examples": self.num_examples,
            "num_tokens": self.num_tokens,
            "padding_share": self.padding_share,
            "num_follows": self.num_follows,
            "num_random": self.num_random,
            "lengths": self.lengths.tolist(),
        }


def report_records(
    records_dir: str | Path,
    output_dir: str | Path,
    *,
    count_sentences: bool = True,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write `records_report.md`, `.json` and `.png` into `output_dir`; returns the first.

    Raises:
        FileNotFoundError, ValueError: the records are missing or damaged.
    """
    records_dir, output_dir = Path(records_dir), Path(output_dir)
    manifest = records.read_manifest(records_dir)
    splits = {
        split: _report_split(records_dir, manifest, split, on_progress=on_progress)
        for split in SPLITS
    }
    num_sentences = None
    if count_sentences:
        num_sentences = _count_sentences(records_dir, manifest, on_progress=on_progress)
    output_dir.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, Any] = {
        "max_seq_length": manifest.max_seq_length,
        "num_sentences": num_sentences,
        **{split: report.numbers() for split, report in splits.items()},
    }
    write_whole(output_dir / REPORT_JSON_FILE, json.dumps(numbers, indent=2) + "\n")
    text = _to_markdown(splits, num_sentences=num_sentences, length=manifest.max_seq_length)
    if try_to_draw(draw_lengths, splits, output_dir / PICTURE_FILE):
        text += f"\n![Lengths of the examples]({PICTURE_FILE})\n"
    return write_whole(output_dir / REPORT_FILE, text)


def draw_lengths(splits: Mapping[records.Split, SplitReport], path: str | Path) -> None:
    """A picture of the lengths of each split that has examples."""
    shown = {split: report for split, report in splits.items() if report.num_examples}
    figure = make_figure(8, 1 + 2.5 * len(shown))
    all_axes = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for axes, (split, report) in zip(all_axes, shown.items(), strict=True):
        counts = report.lengths[1:]
        width = -(-len(counts) // MAX_BARS)
        starts = np.arange(0, len(counts), width)
        axes.bar(starts + 0.5, np.add.reduceat(counts, starts), width=width, align="edge")
        axes.set_title(
            f"{split}: {report.num_examples:,} examples, padding {report.padding_share:.1%}"
        )
        axes.set_ylabel("examples")
    all_axes[-1].set_xlabel("tokens an example")
    save_figure(figure, path)


def _report_split(
    records_dir: Path,
    manifest: records.Manifest,
    split: records.Split,
    *,
    on_progress: OnProgress | None,
) -> SplitReport:
    lengths = np.zeros([manifest.max_seq_length + 1], np.int64)
    labels = np.zeros([3], np.int64)
    paths = [str(path) for path in records.shard_paths(records_dir, split)]
    if paths:
        serialized = tf.data.TFRecordDataset(paths, records.tf_compression(manifest.compression))

        def measure(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            parsed = records.parse(batch)
            return parsed["input_ids"].row_lengths(), parsed["next_sentence_labels"]

        measured = serialized.batch(BATCH_RECORDS).map(measure, tf.data.AUTOTUNE)
        for row_lengths, row_labels in measured.as_numpy_iterator():
            lengths += np.bincount(row_lengths, minlength=len(lengths))
            labels += np.bincount(row_labels - records.NO_LABEL, minlength=3)
            if on_progress is not None:
                total = manifest.num_examples(split)
                on_progress(f"{split} records", int(lengths.sum()), total)
    return SplitReport(
        num_documents=manifest.num_documents[split],
        lengths=lengths,
        num_follows=int(labels[1]),
        num_random=int(labels[2]),
    )


def _count_sentences(
    records_dir: Path, manifest: records.Manifest, *, on_progress: OnProgress | None
) -> int | None:
    """Sentences of the whole corpus; None where its files are gone or others."""
    path = records_dir / CONFIG_FILE
    if not path.is_file():
        return None
    config = load_config(path).corpus
    try:
        files = corpus.list_files(config.paths)
    except (FileNotFoundError, ValueError) as error:
        logger.warning("Sentences are not counted. %s", error)
        return None
    known = manifest.plan.get("files", {})
    there = {
        f"{number:05d} {file.name}": f"{file.stat().st_size} bytes"
        for number, file in enumerate(files, start=1)
    }
    if {name: str(known[name]).partition(",")[0] for name in known} != there:
        logger.warning(
            "Sentences are not counted. The corpus must be the one the records were made of. "
            "Received: files of other names or sizes in %s.",
            ", ".join(config.paths),
        )
        return None
    count = len if config.paragraphs_are_sentences else _num_sentences

    def paragraphs() -> Iterator[bytes]:
        for done, document in enumerate(corpus.read_documents(config), start=1):
            yield from (paragraph.encode() for paragraph in document.paragraphs)
            if on_progress is not None and done % 1000 == 0:
                on_progress("documents", done, sum(manifest.num_documents.values()))

    return sum(count(batch.pieces) for batch in batches(paragraphs()))


def _num_sentences(paragraphs: list[bytes]) -> int:
    return len(split_sentences(tf.constant(paragraphs, tf.string)).values)


def _to_markdown(
    splits: Mapping[records.Split, SplitReport], *, num_sentences: int | None, length: int
) -> str:
    rows: list[tuple[str, Callable[[SplitReport], str]]] = [
        ("documents", lambda report: f"{report.num_documents:,}"),
        ("examples", lambda report: f"{report.num_examples:,}"),
        ("tokens", lambda report: f"{report.num_tokens:,}"),
        ("tokens an example", lambda report: _ratio(report.num_tokens, report.num_examples)),
        ("padding, an example a row", lambda report: f"{report.padding_share:.2%}"),
        ("next sentence follows", lambda report: _labels(report.num_follows, report)),
        ("next sentence is random", lambda report: _labels(report.num_random, report)),
    ]
    sentences = "not known" if num_sentences is None else f"{num_sentences:,}"
    num_documents = sum(report.num_documents for report in splits.values())
    lines = [
        "# Records",
        "",
        f"Made for {length} tokens an example. {num_documents:,} documents, {sentences} sentences"
        + (f" ({_ratio(num_sentences, num_documents)} a document)." if num_sentences else "."),
        "",
        "| | " + " | ".join(splits) + " |",
        "|---|" + "---:|" * len(splits),
        *(
            f"| {name} | " + " | ".join(value(report) for report in splits.values()) + " |"
            for name, value in rows
        ),
        "",
    ]
    return "\n".join(lines)


def _ratio(value: int, of: int) -> str:
    return f"{value / of:.1f}" if of else "–"


def _labels(count: int, report: SplitReport) -> str:
    labelled = report.num_follows + report.num_random
    return f"{count:,} ({count / labelled:.1%})" if labelled else "no labels"
