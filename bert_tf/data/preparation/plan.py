"""A configuration and its corpus in, the plan out: all that the records are a function of.

Two plans are equal exactly when `prepare_records` would write the same bytes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.config import Config
from bert_tf.data import records
from bert_tf.data.corpora import hub as corpus_hub
from bert_tf.data.corpora import standard_input
from bert_tf.data.corpora.encodings import is_utf8
from bert_tf.data.preparation import sentence_pairs
from bert_tf.data.text import sentences
from bert_tf.data.text.tokenizer import Tokenizer


def make_plan(
    config: Config, *, tokenizer: Tokenizer, sources: Sequence[str | Path]
) -> dict[str, Any]:
    """All that the records are a function of, as JSON values. `sources`: see `list_sources`.

    The digest of standard input is None: see `set_standard_input`. Left out: where the corpus lies
    (the names and contents of its files are in), the number of workers, and every section that
    comes after preparation.
    """
    files = [source for source in sources if isinstance(source, Path)]
    hub_names = [str(source) for source in sources if str(source).startswith(corpus_hub.PREFIX)]
    return {
        "schema_version": records.SCHEMA_VERSION,
        "seed": config.seed,
        "sentence_rules": sentences.RULES_VERSION,
        "pair_rules": sentence_pairs.RULES_VERSION,
        "corpus": _corpus_settings(config),
        "files": {
            **({standard_input.NAME: None} if standard_input.STANDARD_INPUT in sources else {}),
            **{name: corpus_hub.hub_fingerprint(name) for name in hub_names},
            **file_digests(files),
        },
        "tokenizer": {
            **tokenizer.settings,
            "vocabulary_sha256": tokenizer.vocabulary_sha256,
        },
        "examples": config.examples.model_dump(mode="json"),
        "records": config.records.model_dump(mode="json", exclude={"num_workers"}),
    }


def standard_input_digest(plan: Mapping[str, Any]) -> str | None:
    """What is known of the standard input that a plan is for; None before it is read."""
    digest = plan.get("files", {}).get(standard_input.NAME)
    return None if digest is None else str(digest)


def set_standard_input(plan: dict[str, Any], digest: str | None) -> None:
    """Put the digest of standard input into `plan`, once it is read."""
    plan["files"][standard_input.NAME] = digest


def check_plan(there: Mapping[str, Any], now: Mapping[str, Any], *, output_dir: Path) -> None:
    """Raise ValueError listing the differences, if there are any."""
    old, new = dict(_flatten(there)), dict(_flatten(now))
    lines = [
        f"  {key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if lines:
        more = [f"  and {len(lines) - 10} more"] if len(lines) > 10 else []
        raise ValueError(
            f"{output_dir}: a records folder holds one corpus in one configuration. Received "
            "another:\n" + "\n".join(lines[:10] + more) + "\n"
            "Give another --output-dir, or remove this folder."
        )


def file_digests(files: Sequence[Path]) -> dict[str, str]:
    """What files are, whatever folder they are in: by their numbers and names."""
    return {
        f"{number:05d} {path.name}": _file_digest(path)
        for number, path in enumerate(files, start=1)
    }


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16))
    return standard_input.describe_content(path.stat().st_size, digest.digest())


def _corpus_settings(config: Config) -> dict[str, Any]:
    """Settings that came later count only where they are used: older records stay valid."""
    settings = config.corpus.model_dump(mode="json", exclude={"paths"})
    if standard_input.STANDARD_INPUT not in config.corpus.paths:
        del settings["standard_input_kind"]
    if is_utf8(config.corpus.encoding):
        del settings["encoding"]
    for switch in ("drop_duplicates", "min_document_characters", "paragraphs_are_sentences"):
        if not settings[switch]:
            del settings[switch]
    return settings


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
