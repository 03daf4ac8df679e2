"""Hub names, offline: `datasets` loads a local folder as it does a name on the hub."""

import builtins
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from bert_tf.config import Config, CorpusConfig
from bert_tf.data import records
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora.hub import HubName
from bert_tf.data.preparation.prepare import prepare_records
from tests.data.conftest import make_text


@pytest.fixture
def hub_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs the datasets extra")
    # Where another test imported it before, it has read its environment.
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "my set"
    folder.mkdir()
    write_rows(folder / "train.jsonl", "One.\nTwo.", " ", "Three.")
    write_rows(folder / "test.jsonl", "Test.")
    return folder


def write_rows(path: Path, *texts: str | None) -> None:
    path.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in texts))


def read(path: str, **settings: Any) -> list[tuple[tuple[str, ...], str]]:
    config = CorpusConfig.model_validate({"paths": (path,), **settings})
    return [(document.paragraphs, document.source) for document in corpus.read_documents(config)]


def test_a_hub_name_has_parts(tmp_path: Path) -> None:
    assert HubName.parse("hub:a/b") == ("a/b", None, None, "train")
    assert HubName.parse("hub:a/b@v1:c:test") == ("a/b", "v1", "c", "test")
    assert HubName.parse("hub:a::test") == ("a", None, None, "test")
    (tmp_path / "a@b").mkdir()
    assert HubName.parse(f"hub:{tmp_path}/a@b").name == f"{tmp_path}/a@b"
    for path in ("hub:", "hub:a:b:c:d"):
        with pytest.raises(ValueError, match=r"must be hub:NAME\[@REVISION\]\[:CONFIG\[:SPLIT\]\]"):
            corpus.list_sources([path])


@pytest.mark.flows
def test_each_row_is_a_document(hub_dir: Path) -> None:
    path = f"hub:{hub_dir}"
    assert read(path) == [(("One.", "Two."), f"{path}:1"), (("Three.",), f"{path}:3")]
    assert read(f"{path}::test") == [(("Test.",), f"{path}::test:1")]
    assert read(f"{path}:default:test", min_document_characters=3)
    file = hub_dir.parent / "a.txt"
    file.write_text("File.")
    assert corpus.list_sources([str(file), path, "-", path]) == ["-", path, file]


@pytest.mark.flows
def test_faults_are_named(hub_dir: Path) -> None:
    path = f"hub:{hub_dir}"
    with pytest.raises(ValueError, match=r"hub:.*my set:1: .*field 'body'.*corpus\.text_field"):
        read(path, text_field="body")
    with pytest.raises(ValueError, match=r"my set:1: .*field 'id'. Received: 1"):
        read(path, text_field="id")
    write_rows(hub_dir / "train.jsonl", "One.", None)
    with pytest.raises(ValueError, match=r"my set:2: .*Received: None"):
        read(path)
    with pytest.raises(ValueError, match=r"my set::dev: a hub .* split: dev.*NAME:CONFIG:SPLIT"):
        read(f"{path}::dev")
    with pytest.raises(ValueError, match=r"my set:other: a hub .*'other' not found"):
        read(f"{path}:other")
    with pytest.raises(FileNotFoundError, match=r"hub:nobody/nothing: a hub .*way to the hub"):
        read("hub:nobody/nothing")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_datasets(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_datasets)
    with pytest.raises(ImportError, match=r"needs the package datasets.*extra `datasets`"):
        read("hub:a/b")


@pytest.mark.flows
def test_records_of_a_hub_name_are_resumed_and_told_apart(
    tmp_path: Path, hub_dir: Path, records_dir: Path, corpus_config: Config
) -> None:
    write_rows(hub_dir / "train.jsonl", *make_text(num_documents=200).rstrip().split("\n\n"))
    section = corpus_config.corpus.model_copy(update={"paths": (f"hub:{hub_dir}",)})
    config = corpus_config.model_copy(update={"corpus": section})

    def interrupt(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("shards", 2):
            raise KeyboardInterrupt

    output_dir = tmp_path / "records"
    with pytest.raises(KeyboardInterrupt):
        prepare_records(config, output_dir, on_progress=interrupt)
    prepare_records(config, output_dir)
    for path in records_dir.glob("*.tfrecord"):
        assert (output_dir / path.name).read_bytes() == path.read_bytes()
    assert prepare_records(config, output_dir) == records.read_manifest(output_dir)
    later = time.time() + 10
    os.utime(hub_dir / "train.jsonl", (later, later))
    with pytest.raises(ValueError, match=r"files\.hub:.*my set: fingerprint \w+ there, fingerpr"):
        prepare_records(config, output_dir)
