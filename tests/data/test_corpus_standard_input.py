"""Standard input as a corpus: spooled once, told apart, resumed."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from bert_tf.config import Config
from bert_tf.data import records
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora.standard_input import StandardInput
from bert_tf.data.preparation import spool
from bert_tf.data.preparation.prepare import prepare_records
from tests.data.conftest import make_text

TEXT = make_text(num_documents=200).encode()


@pytest.fixture
def config(corpus_config: Config) -> Config:
    section = corpus_config.corpus.model_copy(update={"paths": ("-",)})
    return corpus_config.model_copy(update={"corpus": section})


def with_corpus(config: Config, **values: Any) -> Config:
    section = type(config.corpus).model_validate({**config.corpus.model_dump(), **values})
    return config.model_copy(update={"corpus": section})


def shards_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.tfrecord")}


def interrupt(stage: str, done: int, total: int | None) -> None:
    if (stage, done) == ("shards", 2):
        raise KeyboardInterrupt


def test_standard_input_gives_the_records_of_a_file(
    tmp_path: Path, records_dir: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    manifest = prepare_records(config, tmp_path)
    assert shards_of(tmp_path) == shards_of(records_dir)
    ((name, digest),) = manifest.plan["files"].items()
    of_file = records.read_manifest(records_dir).plan["files"]["00001 text.txt"]
    assert (name, digest) == ("standard input", of_file)


def test_a_finished_folder_is_told_apart_by_content(tmp_path: Path, config: Config) -> None:
    manifest = prepare_records(config, tmp_path, standard_input=io.BytesIO(TEXT))
    for again in (TEXT, b""):
        assert prepare_records(config, tmp_path, standard_input=io.BytesIO(again)) == manifest
    with pytest.raises(
        ValueError, match=r"files\.standard input: \d+ bytes.* there, 1 bytes.* now"
    ):
        prepare_records(config, tmp_path, standard_input=io.BytesIO(b"x"))
    file = tmp_path / "text.txt"
    file.write_bytes(TEXT)
    with pytest.raises(ValueError, match=r"files\.standard input: .* there, absent now"):
        prepare_records(with_corpus(config, paths=(str(file),)), tmp_path)


@pytest.mark.parametrize("again", [TEXT, b""], ids=["same", "empty"])
def test_what_is_spooled_is_gone_on_with(
    tmp_path: Path,
    records_dir: Path,
    config: Config,
    again: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare_records(config, tmp_path, standard_input=io.BytesIO(TEXT), on_progress=interrupt)
    with pytest.raises(
        ValueError, match=r"files\.standard input: .*there, 1 bytes.*now\n.*Give an"
    ):
        prepare_records(config, tmp_path, standard_input=io.BytesIO(b"x"))
    monkeypatch.delattr(spool, "spool_documents")
    prepare_records(config, tmp_path, standard_input=io.BytesIO(again))
    assert shards_of(tmp_path) == shards_of(records_dir)


def test_before_it_is_spooled_it_starts_anew(
    tmp_path: Path, records_dir: Path, config: Config
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 4000:
                raise KeyboardInterrupt
            return super().read(1000)

    with pytest.raises(KeyboardInterrupt):
        prepare_records(config, tmp_path, standard_input=Broken(TEXT))
    with pytest.raises(ValueError, match="standard input: a corpus needs at least one document"):
        prepare_records(config, tmp_path, standard_input=io.BytesIO())
    prepare_records(config, tmp_path, standard_input=io.BytesIO(TEXT))
    assert shards_of(tmp_path) == shards_of(records_dir)


def test_another_setting_does_not_throw_away_what_cannot_be_read_again(
    tmp_path: Path, config: Config
) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_records(config, tmp_path, standard_input=io.BytesIO(TEXT), on_progress=stop)
    other = config.model_copy(update={"seed": 3})
    with pytest.raises(ValueError, match=r"seed: 42 there, 3 now"):
        prepare_records(other, tmp_path, standard_input=io.BytesIO(TEXT))
    prepare_records(config, tmp_path, standard_input=io.BytesIO())


def test_json_lines_and_files_beside(tmp_path: Path, config: Config) -> None:
    (tmp_path / "a.txt").write_text("From a file.")
    paths = (str(tmp_path), "-")
    settings = with_corpus(config, paths=paths, standard_input_kind="jsonl").corpus

    def read(content: bytes) -> list[tuple[str, str]]:
        stream = StandardInput(io.BytesIO(content))
        documents = corpus.read_documents(settings, standard_input=stream)
        return [(document.text, Path(document.source).name) for document in documents]

    expected = [("One.", "standard input:2"), ("From a file.", "a.txt:1")]
    assert read(b'\n{"text": "One."}\n') == expected
    with pytest.raises(ValueError, match=r"standard input:2: a \.jsonl line must be one JSON"):
        read(b'{"text": "One."}\n{')
    with pytest.raises(ValueError, match=r"standard input:1: text must be UTF-8"):
        read(b"\xff\n")


def test_it_can_be_read_once_only(config: Config) -> None:
    with pytest.raises(ValueError, match=r"standard input \('-'\) for `bert-tf prepare` only"):
        list(corpus.read_documents(config.corpus))
    with pytest.raises(ValueError, match=r"standard input \('-'\) once: .*Received: 2 times"):
        corpus.list_sources(["-", "-"])
