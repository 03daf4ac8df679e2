"""Pairs and a corpus in, the same pairs with hard negatives out: near to the query, not its answer.

Queries and passages are embedded into `.NAME.mining/` beside the output, which goes on after a
kill; the search is exact. What may be an answer that nobody marked is left out by rules.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bert_tf.config import TableConfig
from bert_tf.data.seeds import derive_seed
from bert_tf.data.tables.reading import iter_tables, read_table
from bert_tf.data.tables.splitting import text_key
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import texts_of
from bert_tf.data.tables.writing import TableWriter, output_kind
from bert_tf.exporting.predict_table import OnProgress
from bert_tf.retrieval.embedding import embedded_texts
from bert_tf.retrieval.search import nearest_stored, stored_vectors

log = logging.getLogger(__name__)

TEXT = "text"
CORPUS_ROWS_AT_ONCE = 8192


@dataclass(frozen=True, kw_only=True)
class MiningRules:
    """Which of a query's nearest passages are its negatives."""

    num_negatives: int = 1
    """Columns `negative_1`, … of the output; a query may have fewer."""
    first_rank: int = 1
    """Nearer passages than that are left out, from 1: they may well be answers."""
    last_rank: int = 100
    margin: float | None = None
    """By how much a negative's cosine must be below the positive's. None: no matter."""
    largest_cosine: float | None = None
    """What a negative's cosine is at most."""
    choice: Literal["nearest", "random"] = "nearest"
    """Of the passages that are left."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.first_rank <= self.last_rank or self.num_negatives < 1:
            raise ValueError(
                "first_rank must be from 1 to last_rank, and num_negatives at least 1. Received: "
                f"first_rank={self.first_rank}, last_rank={self.last_rank}, "
                f"num_negatives={self.num_negatives}. Change them."
            )


def mine_negatives(
    saved_model_dir: str | Path,
    pairs: Any,
    output: str | Path,
    *,
    query_field: str = TEXT,
    passage_field: str = "text_pair",
    corpus: Any = None,
    corpus_field: str = TEXT,
    rules: MiningRules | None = None,
    config: TableConfig | None = None,
    has_prefixes: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write the pairs that have a negative, all of their columns and `negative_1`, ….

    Passages are the second texts of all pairs and, if it is given, the texts of `corpus`, each
    once. Never a negative: a text that equals the query, or a passage of one of the query's pairs.

    Args:
        saved_model_dir: an export of an embedding model.
        pairs, corpus: see `read_table`.
        output: .csv, .jsonl or .parquet.
        has_prefixes: ask `embed_query` and `embed_passage` in the place of `embed`.

    Raises:
        ValueError: a table is at fault, no pair has a negative, or what was begun beside the output
            is of other texts.
    """
    output, rules = Path(output), rules or MiningRules()
    output_kind(output, key="--output")
    config = config or TableConfig()
    table = read_table(pairs, config=config, key="--pairs")
    queries = texts_of(table, query_field, key="--query-field")
    answers = texts_of(table, passage_field, key="--passage-field")
    folder = output.with_name(f".{output.name}.mining")
    folder.mkdir(parents=True, exist_ok=True)
    passages = _unique(_passages(answers, corpus, corpus_field, config))
    asked = _unique(queries)

    def embedded(name: str, texts: Sequence[str]) -> Path:
        return embedded_texts(
            saved_model_dir,
            texts,
            folder / f"{name}.parquet",
            signature_name=f"embed_{name}" if has_prefixes else "embed",
            on_progress=on_progress,
        )

    of_queries = embedded("query", list(asked.values()))
    of_passages = embedded("passage", list(passages.values()))
    found = _negatives(
        [text_key(query) for query in queries],
        [text_key(answer) for answer in answers],
        asked=list(asked),
        passages=list(passages),
        of_queries=of_queries,
        of_passages=of_passages,
        rules=rules,
        on_progress=on_progress,
    )
    path = _write(table, found, list(passages.values()), output, rules=rules)
    shutil.rmtree(folder)
    return path


def _passages(
    answers: Sequence[str], corpus: Any, field: str, config: TableConfig
) -> Iterator[str]:
    yield from answers
    if corpus is not None:
        for part in iter_tables(
            corpus, config=config, key="--corpus", batch_rows=CORPUS_ROWS_AT_ONCE
        ):
            yield from texts_of(part, field, key="--corpus-field")


def _unique(texts: Iterable[str]) -> dict[str, str]:
    """Key -> text, each once, in their order; those with nothing to read are left out."""
    found: dict[str, str] = {}
    for text in texts:
        if key := text_key(text):
            found.setdefault(key, text)
    return found


def _negatives(
    queries: Sequence[str],
    answers: Sequence[str],
    *,
    asked: Sequence[str],
    passages: Sequence[str],
    of_queries: Path,
    of_passages: Path,
    rules: MiningRules,
    on_progress: OnProgress | None,
) -> list[list[int]]:
    """Of each pair the numbers of the passages that are its negatives."""
    number_of = {key: number for number, key in enumerate(passages)}
    row_of = {key: row for row, key in enumerate(asked)}
    right: dict[str, set[int]] = {key: set() for key in asked}
    for query, answer in zip(queries, answers, strict=True):
        if query in right:
            right[query] |= {number_of[it] for it in (answer, query) if it in number_of}
    vectors = np.concatenate(list(stored_vectors(of_queries)))
    most_right = max(map(len, right.values()))
    numbers, cosines = nearest_stored(
        vectors, of_passages, num_nearest=rules.last_rank + most_right, on_progress=on_progress
    )
    of_pairs = _cosines_of_pairs(
        [(row_of.get(q, -1), number_of.get(a, -1)) for q, a in zip(queries, answers, strict=True)],
        vectors,
        of_passages,
    )
    random = np.random.default_rng(derive_seed(rules.seed, "negatives"))
    return [
        []
        if query not in row_of
        else _chosen(
            [
                (int(number), float(cosine))
                for number, cosine in zip(
                    numbers[row_of[query]], cosines[row_of[query]], strict=True
                )
                if int(number) not in right[query]
            ],
            own,
            rules,
            random,
        )
        for query, own in zip(queries, of_pairs, strict=True)
    ]


def _cosines_of_pairs(
    pairs: Sequence[tuple[int, int]], vectors: np.ndarray, of_passages: Path
) -> np.ndarray:
    """Of each pair of a query's row and a passage's number; NaN where one has nothing to read."""
    rows, numbers = np.asarray(pairs, np.int64).T
    found = np.full(len(pairs), np.nan, np.float32)
    start = 0
    for block in stored_vectors(of_passages):
        is_here = (numbers >= start) & (numbers < start + len(block)) & (rows >= 0)
        of_block = block[numbers[is_here] - start]
        found[is_here] = (vectors[rows[is_here]] * of_block).sum(axis=1)
        start += len(block)
    return found


def _chosen(
    candidates: Sequence[tuple[int, float]],
    own: float,
    rules: MiningRules,
    random: np.random.Generator,
) -> list[int]:
    """By the rules; `candidates` have numbers and cosines, nearest first, without right ones."""
    limits = [np.inf if rules.largest_cosine is None else rules.largest_cosine]
    if rules.margin is not None:
        limits.append(own - rules.margin)
    kept = [
        number
        for number, cosine in candidates[rules.first_rank - 1 : rules.last_rank]
        if cosine <= min(limits)
    ]
    if rules.choice == "random" and len(kept) > rules.num_negatives:
        places = np.sort(random.choice(len(kept), rules.num_negatives, replace=False))
        return [kept[place] for place in places]
    return kept[: rules.num_negatives]


def _write(
    table: Table,
    found: Sequence[Sequence[int]],
    passages: Sequence[str],
    output: Path,
    *,
    rules: MiningRules,
) -> Path:
    rows = [row for row, negatives in enumerate(found) if negatives]
    names = [f"negative_{it + 1}" for it in range(rules.num_negatives)]
    num_fewer = sum(len(found[row]) < rules.num_negatives for row in rows)
    log.info(
        "%s of %s pairs have a negative, %s of them fewer than %d.",
        *(f"{len(rows):,}", f"{len(found):,}", f"{num_fewer:,}", rules.num_negatives),
    )
    if not rows:
        raise ValueError(
            f"{output}: some pair must have a negative. Received: none of {len(found):,}. Give a "
            "larger corpus, or a lower margin, a lower first_rank or a higher last_rank."
        )
    clash = [name for name in names if name in table.columns]
    if clash:
        raise ValueError(
            f"{table.where(0)}: pairs must leave the negatives a name. Received: a column "
            f"{clash[0]!r}. Rename it."
        )
    kept = table.take(rows)
    columns: Mapping[str, Sequence[Any]] = {
        **{name: kept.columns[name] for name in kept.names},
        **{
            name: [passages[found[row][place]] if place < len(found[row]) else None for row in rows]
            for place, name in enumerate(names)
        },
    }
    with TableWriter(output, settings={}, resume=False) as writer:
        writer.append(columns)
        return writer.finish()
