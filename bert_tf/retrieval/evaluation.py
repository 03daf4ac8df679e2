"""Queries, a corpus and judgements in BEIR's layout in, retrieval metrics of an export out.

corpus.jsonl    {"_id": …, "title": …, "text": …}      also .parquet, .csv, packed, …
queries.jsonl   {"_id": …, "text": …}
qrels/test.tsv  query-id  corpus-id  score
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import numbers_of, texts_of
from bert_tf.exporting.predict_table import OnProgress
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.resampling import bootstrap
from bert_tf.metrics.retrieval import ranking_outcomes, retrieval_metrics
from bert_tf.metrics.tables import markdown_table
from bert_tf.retrieval.embedding import embedded_texts
from bert_tf.retrieval.search import nearest_stored, stored_vectors
from bert_tf.system.files import write_whole
from bert_tf.system.output_folder import owned_folder

log = logging.getLogger(__name__)

NUM_NEAREST = 100
METRICS_FILE, TABLE_FILE = "metrics.json", "retrieval.md"
_ID, _TEXT, _TITLE = "_id", "text", "title"


@dataclass(frozen=True)
class RetrievalSet:
    """Texts by their ids, and of each query which documents answer it, and how well."""

    queries: Mapping[str, str]
    """Those that have a judgement above 0."""
    corpus: Mapping[str, str]
    """A title stands before its text."""
    judgements: Mapping[str, Mapping[str, float]]


def read_retrieval_set(directory: str | Path, *, split: str = "test") -> RetrievalSet:
    """A folder in BEIR's layout.

    Raises:
        FileNotFoundError, ValueError: a file is missing or at fault, an id occurs twice, a
            judgement is of no query or document, or none is above 0.
    """
    directory = Path(directory)
    corpus = _texts(directory, "corpus")
    queries = _texts(directory, "queries")
    table = _table(directory / "qrels", split)
    judgements: dict[str, dict[str, float]] = {}
    ids = [texts_of(table, name, key="qrels") for name in ("query-id", "corpus-id")]
    grades = numbers_of(table, "score", key="qrels")
    for row, (query, document, grade) in enumerate(zip(*ids, grades, strict=True)):
        for what, known, name in (("query", queries, query), ("document", corpus, document)):
            if name not in known:
                raise ValueError(
                    f"{table.where(row)}: a judgement must be of a {what} that is there. Received: "
                    f"{name!r:.80}. Take it out, or add the {what}."
                )
        judgements.setdefault(query, {})[document] = float(grade)
    asked = {
        name: text
        for name, text in queries.items()
        if any(grade > 0 for grade in judgements.get(name, {}).values())
    }
    if not asked:
        raise ValueError(
            f"{directory}: some query must have a document with a score above 0. Received: none of "
            f"{len(queries):,}. Give the judgements of these queries."
        )
    return RetrievalSet(asked, corpus, judgements)


def evaluate_retrieval(
    saved_model_dir: str | Path,
    directory: str | Path,
    output_dir: str | Path,
    *,
    split: str = "test",
    has_prefixes: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, float]:
    """Metrics of an export's search, exact, with 95 % bootstrap intervals over queries.

    Writes them into `output_dir`, with the embeddings, which the same call does not make again.

    Raises:
        ValueError: as of `read_retrieval_set`, or the folder is another command's.
    """
    data = read_retrieval_set(directory, split=split)
    log.info("%s queries, %s documents.", f"{len(data.queries):,}", f"{len(data.corpus):,}")
    with owned_folder(output_dir, command="evaluate-retrieval") as folder:
        vectors = {
            name: embedded_texts(
                saved_model_dir,
                list(texts.values()),
                folder / f"{name}.parquet",
                signature_name=f"embed_{name}" if has_prefixes else "embed",
                on_progress=on_progress,
            )
            for name, texts in (("query", data.queries), ("passage", data.corpus))
        }
        numbers, _ = nearest_stored(
            np.concatenate(list(stored_vectors(vectors["query"]))),
            vectors["passage"],
            num_nearest=NUM_NEAREST,
            on_progress=on_progress,
        )
        documents = list(data.corpus)
        outcomes = ranking_outcomes(
            [data.judgements[query] for query in data.queries],
            [[documents[number] for number in row] for row in numbers],
        )
        return _write(outcomes, retrieval_metrics(), folder)


def _write(outcomes: Outcomes, metrics: Sequence[Metric], folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    rows = []
    for metric in metrics:
        interval = bootstrap(metric, outcomes)
        found |= {
            metric.key: interval.value,
            f"{metric.key}_low": interval.low,
            f"{metric.key}_high": interval.high,
        }
        limits = {"value": interval.value, "low": interval.low, "high": interval.high}
        rows.append({"metric": metric.title, **limits})
    write_whole(folder / TABLE_FILE, markdown_table(rows) + "\n")
    write_whole(folder / METRICS_FILE, json.dumps(found, indent=2) + "\n")
    return found


def _texts(directory: Path, name: str) -> dict[str, str]:
    table = _table(directory, name)
    found: dict[str, str] = {}
    ids, texts = (texts_of(table, field, key=name) for field in (_ID, _TEXT))
    titles: Sequence[Any] = table.columns.get(_TITLE, [""] * len(table))
    for row, (of_row, title, text) in enumerate(zip(ids, titles, texts, strict=True)):
        if of_row in found:
            raise ValueError(
                f"{table.where(row)}: ids must differ. Received: {of_row!r:.80} once more. Take "
                "one out."
            )
        found[of_row] = f"{title} {text}".strip() if isinstance(title, str) else text
    return found


def _table(directory: Path, name: str) -> Table:
    files = sorted(directory.glob(f"{name}.*"))
    if not files:
        raise FileNotFoundError(
            f"{directory}: must hold {name}.jsonl (or .tsv, .csv, .parquet) as BEIR has it. "
            "Received: no such file. Give the folder of one set."
        )
    return read_table(str(files[0]), config=TableConfig(), key=name)
