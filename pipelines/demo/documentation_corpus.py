"""Documentation of installed packages in, a pretraining corpus and a labelled set out.

The text is the prose in docstrings. The label of a text is the package it comes from. Stages:

1. read: docstrings of each package's source files (`documentation_sources`);
2. clean: paragraphs of sentences, no code (`documentation_prose`); sentences that name one of
   the packages are dropped, `np.ndarray` becomes `ndarray`, a sentence seen before is dropped;
3. split: a source file is on the training side or on the evaluation side, with all its text;
4. write: `corpus.txt`, `train.tsv`, `eval.tsv`, `summary.json`.

The corpus holds text of the training side only. As no sentence occurs twice, a model that was
pretrained on it and fine-tuned on `train.tsv` has not seen any sentence of `eval.tsv`.
"""

import concurrent.futures
import dataclasses
import functools
import gc
import hashlib
import itertools
import json
import logging
import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.demo.documentation_prose import clean_docstring
from pipelines.demo.documentation_sources import (
    DEFAULT_PACKAGES,
    Docstring,
    DocumentedPackage,
    package_version,
    read_docstrings,
)

logger = logging.getLogger(__name__)

CORPUS_FILE = "corpus.txt"
TRAIN_FILE = "train.tsv"
EVAL_FILE = "eval.tsv"
SUMMARY_FILE = "summary.json"

EVAL_SHARE = 0.15
MIN_DOCUMENT_SENTENCES = 6
MAX_DOCUMENT_SENTENCES = 30
MIN_EXAMPLE_WORDS = 35
MAX_EXAMPLE_WORDS = 70
MAX_EXAMPLE_SENTENCES = 3
SHORTEST_NAME_INSIDE_WORDS = 5
"""`keras` is found in `KerasTensor`, but `tf` not in `softflow`."""


@dataclass(frozen=True)
class CleanDocstring:
    """The sentences of one docstring that are kept, with their source."""

    label: str
    module: str
    definition: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class DocumentationCorpus:
    """What `write_documentation_corpus` wrote, and how much of it."""

    corpus_path: Path
    """A sentence a line, an empty line between documents."""
    train_path: Path
    eval_path: Path
    """Header `text<TAB>label`, no quoting."""
    summary_path: Path
    """Counts, package versions and each file's SHA-256: equal summaries mean equal files."""
    labels: tuple[str, ...]
    num_documents: int
    num_sentences: int
    num_words: int
    num_characters: int
    num_train_examples: int
    num_eval_examples: int


def write_documentation_corpus(
    output_dir: str | Path,
    *,
    packages: Sequence[DocumentedPackage] = DEFAULT_PACKAGES,
    max_examples_per_label: int = 250,
    max_eval_examples_per_label: int = 150,
    seed: int = 0,
    num_workers: int = 1,
) -> DocumentationCorpus:
    """Write corpus, labelled texts and summary to `output_dir`; same packages, same bytes.

    The corpus has only text of source files on the training side of the split, so that the
    texts of `eval.tsv` are unseen in pretraining, too. Each label gets equally many examples
    if its files have enough. `summary.json` is written last and removed first: a folder that
    has one is complete. With more `num_workers` than one, that many processes read packages.

    Raises:
        FileNotFoundError: a package is not installed.
        ValueError: there are fewer than two labels, one occurs twice, or one has no text on a
            side of the split.
    """
    _check_labels(packages)
    docstrings = clean_docstrings(packages, num_workers=num_workers)
    documents: list[tuple[str, ...]] = []
    rows: dict[str, list[tuple[str, str]]] = {TRAIN_FILE: [], EVAL_FILE: []}
    labels = {}
    for package in packages:
        own = [docstring for docstring in docstrings if docstring.label == package.label]
        sides = split_by_module(own, seed=seed)
        own_documents = list(build_documents(sides[TRAIN_FILE]))
        documents += own_documents
        labels[package.label] = {
            "version": package_version(package),
            "documents": len(own_documents),
            "words": sum(count_words(document) for document in own_documents),
        }
        limits = {TRAIN_FILE: max_examples_per_label, EVAL_FILE: max_eval_examples_per_label}
        for side, limit in limits.items():
            texts = choose_examples(sides[side], limit=limit, seed=seed)
            if not texts:
                raise ValueError(
                    f"{package.label}: a package needs texts on both sides of the split. "
                    f"Received: none for {side}. Leave the package out or change the seed."
                )
            rows[side] += [(text, package.label) for text in texts]
            labels[package.label][side] = len(texts)
        logger.info("%s: %s", package.label, labels[package.label])
    return _write_files(Path(output_dir), documents=documents, rows=rows, labels=labels, seed=seed)


def clean_docstrings(
    packages: Sequence[DocumentedPackage], *, num_workers: int = 1
) -> list[CleanDocstring]:
    """Every docstring that has sentences, in order; each sentence of all packages once.

    Sentences that differ in digits, case or punctuation only count as the same.
    """
    names = tuple(name for package in packages for name in package.names)
    read = functools.partial(_read_nameless, names=names)
    if num_workers == 1:
        return _without_repetition(map(read, packages))
    with concurrent.futures.ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        # Of parsed files nothing goes round in circles; looking for that takes a fifth of the time.
        initializer=gc.disable,
    ) as pool:
        return _without_repetition(pool.map(read, packages))


def _read_nameless(package: DocumentedPackage, *, names: Iterable[str]) -> list[CleanDocstring]:
    """A package's docstrings, those without a sentence, too; no sentence holds one of `names`."""
    named, dotted = name_pattern(names), dotted_path_pattern(names)
    return [
        CleanDocstring(
            package.label,
            docstring.module,
            docstring.definition,
            tuple(_nameless_sentences(docstring, named, dotted)),
        )
        for docstring in read_docstrings(package)
    ]


def _without_repetition(packages: Iterable[Iterable[CleanDocstring]]) -> list[CleanDocstring]:
    seen: set[str] = set()
    cleaned = []
    for docstring in itertools.chain.from_iterable(packages):
        sentences = tuple(_unseen(docstring.sentences, seen))
        if sentences:
            cleaned.append(dataclasses.replace(docstring, sentences=sentences))
    return cleaned


def name_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Matches a lower-case text that names a package; short names only where no letter adjoins.

    For `("keras", "tf")`: `keras`, `kerastensor`, `tf_function`, but not `softflow`.
    """
    alternatives = [
        re.escape(name.lower())
        if len(name) >= SHORTEST_NAME_INSIDE_WORDS
        else rf"(?<![^\W\d_]){re.escape(name.lower())}(?![^\W\d_])"
        for name in sorted(names)
    ]
    return re.compile("|".join(alternatives) or r"(?!)")


def dotted_path_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Matches a package's dotted path but for its last part: `np.linalg.` of `np.linalg.norm`."""
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![\w.])(?:{alternatives or '(?!)'})\.(?:\w+\.)*(?=\w)", re.IGNORECASE)


def split_by_module(
    docstrings: Iterable[CleanDocstring], *, seed: int
) -> dict[str, list[CleanDocstring]]:
    """Docstrings for training and for evaluation; those of one source file stay together."""
    sides: dict[str, list[CleanDocstring]] = {TRAIN_FILE: [], EVAL_FILE: []}
    for docstring in docstrings:
        is_eval = hash_share(f"{seed}:{docstring.label}:{docstring.module}") < EVAL_SHARE
        sides[EVAL_FILE if is_eval else TRAIN_FILE].append(docstring)
    return sides


def build_documents(docstrings: Iterable[CleanDocstring]) -> Iterator[tuple[str, ...]]:
    """Documents of one topic: a class with its methods, a function, or a few short neighbours.

    A document ends with a definition once it has `MIN_DOCUMENT_SENTENCES`, and with a docstring
    once it has `MAX_DOCUMENT_SENTENCES`. What is left of a module is a document if it has two.
    """
    for _, group in itertools.groupby(docstrings, key=lambda docstring: docstring.module):
        document: list[str] = []
        previous = ""
        for docstring in group:
            is_new = docstring.definition != previous
            limit = MIN_DOCUMENT_SENTENCES if is_new else MAX_DOCUMENT_SENTENCES
            if len(document) >= limit:
                yield tuple(document)
                document = []
            document += docstring.sentences
            previous = docstring.definition
        if len(document) >= 2:
            yield tuple(document)


def choose_examples(docstrings: Sequence[CleanDocstring], *, limit: int, seed: int) -> list[str]:
    """At most `limit` example texts, spread over the modules as evenly as they allow.

    In a module, the first text of each docstring comes before the second ones: a docstring opens
    with what the thing is for and ends with its parameters.
    """
    ranked: list[tuple[int, float, str]] = []
    for _, group in itertools.groupby(docstrings, key=lambda docstring: docstring.module):
        places = [
            (place, hash_share(f"{seed}:{text}"), text)
            for docstring in group
            for place, text in enumerate(split_examples(docstring.sentences))
        ]
        ranked += [(rank, share, text) for rank, (_, share, text) in enumerate(sorted(places))]
    return [text for _, _, text in sorted(ranked)[:limit]]


def split_examples(sentences: Sequence[str]) -> Iterator[str]:
    """Texts of one to three consecutive sentences, 35 to 70 words; each sentence used once."""
    text: list[str] = []
    for sentence in sentences:
        text.append(sentence)
        num_words = count_words(text)
        if num_words >= MIN_EXAMPLE_WORDS:
            if num_words <= MAX_EXAMPLE_WORDS:
                yield " ".join(text)
            text = []
        elif len(text) == MAX_EXAMPLE_SENTENCES:
            text = []


def count_words(texts: Iterable[str]) -> int:
    """Words separated by white space."""
    return sum(len(text.split()) for text in texts)


def hash_share(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone, evenly distributed."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def _check_labels(packages: Sequence[DocumentedPackage]) -> None:
    given = [package.label for package in packages]
    if len(given) < 2 or len(set(given)) < len(given):
        raise ValueError(
            f"packages must be two or more with different labels. Received: {given}. "
            "Add a package or rename a label."
        )


def _nameless_sentences(
    docstring: Docstring, named: re.Pattern[str], dotted: re.Pattern[str]
) -> Iterator[str]:
    for paragraph in clean_docstring(docstring.text):
        for sentence in paragraph:
            shortened = dotted.sub("", sentence)
            if not named.search(shortened.lower()):
                yield shortened


def _unseen(sentences: Iterable[str], seen: set[str]) -> Iterator[str]:
    for sentence in sentences:
        key = re.sub(r"[\W\d_]+", " ", sentence.lower()).strip()
        if key not in seen:
            seen.add(key)
            yield sentence


def _write_files(
    folder: Path,
    *,
    documents: Sequence[tuple[str, ...]],
    rows: dict[str, list[tuple[str, str]]],
    labels: dict[str, Any],
    seed: int,
) -> DocumentationCorpus:
    """Documents and rows are put in an order that mixes the packages, by hash."""
    bodies = ["\n".join(document) + "\n" for document in documents]
    contents = {
        CORPUS_FILE: "\n".join(sorted(bodies, key=lambda body: hash_share(f"{seed}:{body}")))
    }
    for side, texts in rows.items():
        texts = sorted(texts, key=lambda row: hash_share(f"{seed}:{row[0]}"))
        contents[side] = "".join(
            f"{text}\t{label}\n" for text, label in [("text", "label"), *texts]
        )
    corpus = DocumentationCorpus(
        corpus_path=folder / CORPUS_FILE,
        train_path=folder / TRAIN_FILE,
        eval_path=folder / EVAL_FILE,
        summary_path=folder / SUMMARY_FILE,
        labels=tuple(labels),
        num_documents=len(documents),
        num_sentences=sum(len(document) for document in documents),
        num_words=sum(count_words(document) for document in documents),
        num_characters=len(contents[CORPUS_FILE]),
        num_train_examples=len(rows[TRAIN_FILE]),
        num_eval_examples=len(rows[EVAL_FILE]),
    )
    counts = {k: v for k, v in dataclasses.asdict(corpus).items() if k.startswith("num_")}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
    summary = {"seed": seed, **counts, "labels": labels, "sha256": digests}
    folder.mkdir(parents=True, exist_ok=True)
    corpus.summary_path.unlink(missing_ok=True)
    for name, text in contents.items():
        _write_atomically(folder / name, text)
    _write_atomically(corpus.summary_path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return corpus


def _write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
