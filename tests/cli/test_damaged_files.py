"""Whatever befalls a file that the package reads: a message with its path, or what it said before.

Each reader gets its file cut, with changed bytes, with repeated parts, in other encodings, and
with what no one writes: deep nesting, numbers of thousands of digits.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
import safetensors.numpy
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bert_tf.config import Config, CorpusConfig, TableConfig, load_config, write_config
from bert_tf.config.reading import read_columns
from bert_tf.conversion import google
from bert_tf.data.corpora.corpus import read_batches
from bert_tf.data.corpora.rows import read_json_lines
from bert_tf.data.inspection.text_profile import TextProfile
from bert_tf.data.records.example import SCHEMA_VERSION
from bert_tf.data.records.manifest import Manifest, Shard, read_manifest, write_manifest
from bert_tf.data.tables.json_rows import read_json_list
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.tokenizer import read_settings_file
from bert_tf.data.text.vocabulary import CONTROL_TOKENS, read_vocabulary, write_vocabulary
from bert_tf.data.text.wordpiece import SETTINGS
from bert_tf.exporting import model_card, models_config, version_folders
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.models.tensors import open_safetensors
from bert_tf.registry.training_run import read_training
from bert_tf.system.known_errors import message_of
from bert_tf.tracking.journal import read_events, read_sent, write_sent
from bert_tf.tracking.provenance import read_provenance
from pipelines.engine import history, step_state
from pipelines.engine.step import Stop
from serving.server.model_config import read_model_config_file

MESSAGES = (ValueError, OSError)
RAW = (UnicodeError, json.JSONDecodeError, pydantic.ValidationError)


class Reader(NamedTuple):
    """A file, what it holds, and what reads it."""

    name: str
    content: bytes
    read: Callable[[Path], Any]
    is_json: bool = True
    """One value, so that a part of it is none."""


def as_json(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False, indent=1).encode()


def written_by(write: Callable[[Path], Any], name: str, tmp_path: Path) -> bytes:
    write(tmp_path)
    return (tmp_path / name).read_bytes()


def manifest() -> Manifest:
    plan = {
        "examples": {"max_seq_length": 128, "next_sentence": True},
        "records": {"compression": "none"},
        "tokenizer": {"vocabulary_sha256": "ab" * 32},
    }
    shard = Shard(
        name="a", split="train", num_examples=3, num_tokens=9, num_bytes=99, sha256="cd" * 32
    )
    return Manifest(
        schema_version=SCHEMA_VERSION, plan=plan, num_documents={"train": 3}, shards=(shard,)
    )


def run_record() -> history.RunRecord:
    steps = [history.StepRecord("ingest", status="done", seconds=1.5, reason="값")]
    return history.RunRecord("refresh", "r1", "2026-01-01T00:00:00+00:00", steps, status="done")


def safetensors_of(path: Path) -> dict[str, list]:
    shapes, read = open_safetensors([path])
    return {name: read(name).tolist() for name in shapes}


def table_of(path: Path) -> dict[str, list]:
    table = read_table(str(path), config=TableConfig(), key="finetuning.train_path")
    return {name: list(values) for name, values in table.columns.items()}


def documents_of(path: Path) -> list[Any]:
    config = CorpusConfig(paths=(str(path),))
    return [[*batch] for batch in read_batches(config, sources=[path])]


def tables(folder: Path) -> dict[str, bytes]:
    frame = pd.DataFrame({"text": ['값 "q", x', "two\nlines", "c"], "label": ["예", "no", "no"]})
    frame.to_parquet(folder / "t.parquet")
    text = frame.to_csv(index=False).encode()
    return {
        "csv": text,
        "tsv": frame.to_csv(index=False, sep="\t").encode(),
        "csv.gz": gzip.compress(text, mtime=0),
        "csv.zst": zstandard.compress(text),
        "parquet": (folder / "t.parquet").read_bytes(),
    }


def corpora() -> dict[str, bytes]:
    text = "문서 하나.\n둘.\n\n셋.\n".encode()
    rows = '{"text": "값"}\n{"text": "two"}\n'.encode()
    return {
        "txt": text,
        "txt.gz": gzip.compress(text, mtime=0),
        "txt.zst": zstandard.compress(text),
        "jsonl": rows,
    }


def readers(folder: Path) -> dict[str, Reader]:
    description = ModelDescription(
        kind="classification", architecture={}, max_seq_length=16, class_names=("예", "no")
    )
    config = written_by(lambda path: write_config(Config(), path), "config.yaml", folder)
    config += "card: {intended_use: 값}\n".encode() if b"card:" not in config else b""
    words = [*CONTROL_TOKENS, "값", "##어", "word"]
    tokens = written_by(lambda path: write_vocabulary(words, path / "v"), "v", folder)
    profile = TextProfile.of(lengths=[3, 5], num_unknown=1, label_counts={"예": 2})
    sent = written_by(lambda path: write_sent(path, run_id="ab", offset=9), "sent.json", folder)
    state = step_state.State("ab", is_finished=True, seconds=2.5, stop=Stop("refused", "값"))
    step = written_by(lambda path: step_state.write_state(path, state), "step.json", folder)
    run = as_json(run_record().as_json())
    bert = as_json({"vocab_size": 8, "hidden_size": 128, "num_attention_heads": 2})
    served = (
        'model_config_list { config { name: "값" base_path: "/m/a" model_platform: "tensorflow" '
        'version_labels { key: "stable" value: 3 } } }'
    ).encode()
    rows = '{"text": "값", "label": 1.5}\n{"text": "b", "label": 2}\n'.encode()
    tensors = safetensors.numpy.save({"a": np.arange(6, dtype=np.float32), "b": np.ones(2)})
    return {
        "configuration": Reader("c.yaml", config, load_config, False),
        "columns": Reader("c.yaml", config, read_columns, False),
        "card": Reader("c.yaml", config, model_card._card_settings, False),
        "vocabulary": Reader("vocab.txt", tokens, read_vocabulary, False),
        "manifest": Reader(
            "manifest.json",
            written_by(lambda path: write_manifest(manifest(), path), "manifest.json", folder),
            lambda path: read_manifest(path.parent),
        ),
        "description": Reader(
            "model.json", description.as_json().encode(), lambda path: load_description(path.parent)
        ),
        "tokenizer": Reader(
            "tokenizer.json",
            as_json({"lower_case": True, "strip_accents": False, "unicode_normalization": "NFC"}),
            lambda path: read_settings_file(path, names=SETTINGS, optional=SETTINGS[-1:]),
        ),
        "profile": Reader("data_profile.json", profile.as_json().encode(), TextProfile.read),
        "sent": Reader("sent.json", sent, lambda path: read_sent(path.parent)),
        "provenance": Reader(
            "provenance.json", as_json({"data": "값"}), lambda path: read_provenance(path.parent)
        ),
        "metrics": Reader(
            "metrics.json",
            as_json({"loss": 0.5}),
            lambda path: read_training(path.parent)["metrics"],
        ),
        "bert_config": Reader("bert_config.json", bert, google.read_architecture),
        "models.config": Reader("models.config", served, models_config.read, False),
        "labels": Reader(
            "models.config.history.jsonl",
            b'{"name": "a", "label": "b", "version": 3, "before": 1, "is_back": false}\n',
            lambda path: models_config._made_changes(
                path.with_name("models.config"),
                models_config._new_config().model_config_list.config.add(
                    name="a", version_labels={"b": 2}
                ),
            ),
            False,
        ),
        "highest": Reader(".highest_version", b"12", version_folders._recorded, False),
        "run": Reader("state.json", run, lambda path: history.read_state(path.parent)),
        "history": Reader(
            "history.jsonl",
            as_json(run_record().as_json()).replace(b"\n", b"") + b"\n",
            lambda path: history.read_history(path.parent),
            False,
        ),
        "step": Reader("step.json", step, lambda path: step_state.read_state(path.parent)),
        "json lines": Reader(
            "a.jsonl",
            rows,
            lambda path: list(read_json_lines(path, encoding_errors="error")),
            False,
        ),
        "json list": Reader(
            "a.json",
            as_json([{"text": "값", "label": 1.5}]),
            lambda path: [
                table.columns
                for table in read_json_list(path, config=TableConfig(), key="finetuning.table")
            ],
        ),
        **{
            f"table {kind}": Reader(f"t.{kind}", content, table_of, False)
            for kind, content in tables(folder).items()
        },
        **{
            f"corpus {kind}": Reader(f"d.{kind}", content, documents_of, False)
            for kind, content in corpora().items()
        },
        "server's models.config": Reader("m.config", served, read_model_config_file, False),
        "safetensors": Reader("m.safetensors", tensors, safetensors_of, False),
        "journal": Reader(
            "journal.jsonl", b'{"event": "open"}\n', lambda path: list(read_events(path)), False
        ),
    }


NAMES = (
    *("configuration", "columns", "card", "vocabulary", "manifest", "description", "tokenizer"),
    *("profile", "sent", "provenance", "metrics", "bert_config", "models.config", "labels"),
    *("table csv", "table tsv", "table csv.gz", "table csv.zst", "table parquet"),
    *("corpus txt", "corpus txt.gz", "corpus txt.zst", "corpus jsonl", "server's models.config"),
    *("highest", "run", "history", "step", "json lines", "json list", "safetensors", "journal"),
)


@pytest.fixture(scope="module")
def all_readers(tmp_path_factory) -> dict[str, Reader]:
    found = readers(tmp_path_factory.mktemp("whole"))
    assert set(found) == set(NAMES)
    return found


def outcome(reader: Reader, content: bytes, folder: Path) -> Any:
    """What is read, or the message; anything else that is raised fails the test."""
    path = folder / reader.name
    path.write_bytes(content)
    try:
        return reader.read(path)
    except MESSAGES as raised:
        error = raised
    assert not isinstance(error, RAW), f"{type(error).__name__}: {error}"
    assert reader.name in str(error), f"no path in: {error}"
    assert message_of(error) is not None, f"not from a raise of ours: {error}"
    return error


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_read(all_readers, name, tmp_path):
    read = outcome(all_readers[name], all_readers[name].content, tmp_path)
    assert not isinstance(read, MESSAGES), read


@st.composite
def damages(draw) -> Callable[[bytes], bytes]:
    at, length = draw(st.floats(0, 1)), draw(st.integers(0, 12))
    put_in = draw(
        st.sampled_from([b"", b"\xff", b"\0", b"[", b"{", b'"', b"\n", b": ", b"null"])
        | st.binary(max_size=4)
        | st.text(max_size=4).map(lambda text: text.encode(errors="surrogatepass"))
    )
    is_repeated = draw(st.booleans())

    def damage(content: bytes) -> bytes:
        start = int(at * len(content))
        part = content[start : start + length]
        return content[:start] + put_in + part * (2 * is_repeated) + content[start + length :]

    return damage


@pytest.mark.parametrize("name", NAMES)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_changed_bytes_are_read_or_refused_with_the_path(all_readers, name, tmp_path, damage):
    outcome(all_readers[name], damage(all_readers[name].content), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_file_is_refused_with_the_path_or_read_as_before(all_readers, name, tmp_path):
    reader = all_readers[name]
    whole = outcome(reader, reader.content, tmp_path)
    for end in range(0, len(reader.content), max(1, len(reader.content) // 60)):
        read = outcome(reader, reader.content[:end], tmp_path)
        if reader.is_json and end < len(reader.content.rstrip()):
            assert isinstance(read, MESSAGES) or read == whole, f"cut at {end}: {read}"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32", "cp949", "utf-8-sig"])
@pytest.mark.parametrize("name", NAMES)
def test_another_encoding_is_refused_or_read_as_before(all_readers, name, codec, tmp_path):
    reader = all_readers[name]
    try:
        text = reader.content.decode()
    except UnicodeDecodeError:
        pytest.skip("its bytes are no text")
    whole = outcome(reader, reader.content, tmp_path)
    read = outcome(reader, text.encode(codec), tmp_path)
    if name != "journal":  # it passes over what is no whole line
        assert isinstance(read, MESSAGES) or read == whole, read


@pytest.mark.parametrize("value", [b"[" * 4_000, b'{"a":' * 4_000, b"9" * 5000, b"1e999"])
@pytest.mark.parametrize("name", NAMES)
def test_deep_nesting_and_long_numbers_raise_nothing_raw(all_readers, name, value, tmp_path):
    reader = all_readers[name]
    outcome(reader, value, tmp_path)
    outcome(reader, b'{"a": ' + value + b"}", tmp_path)
    outcome(reader, b"a: " + value, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_may_be_of_another_type(all_readers, name, tmp_path):
    reader = all_readers[name]
    if not reader.is_json:
        return
    tree = json.loads(reader.content)
    for other in (None, [], {}, [[]], "x", -1, 0.5, True):
        outcome(reader, json.dumps(other).encode(), tmp_path)
        for key in tree if isinstance(tree, dict) else ():
            outcome(reader, json.dumps(tree | {key: other}).encode(), tmp_path)
            left = {name: value for name, value in tree.items() if name != key}
            outcome(reader, json.dumps(left).encode(), tmp_path)
