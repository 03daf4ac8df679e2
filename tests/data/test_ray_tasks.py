"""Shards on a local Ray: the same bytes as without it, a killed worker costs nothing."""

import threading
import time
from pathlib import Path

import psutil
import pytest

from bert_tf.config import Config, ExamplesConfig, TokenizerConfig
from bert_tf.data.corpora import corpus
from bert_tf.data.preparation import shards, spool
from bert_tf.data.preparation.engine import FirstPass
from bert_tf.data.text.tokenizer import Tokenizer
from tests.data.conftest import make_text

pytestmark = pytest.mark.flows
pytest.importorskip("ray", reason="needs the cluster extra")

from bert_tf.data.preparation.ray_tasks import run_on_ray  # noqa: E402


def make_tasks(
    directory: Path, tokenizer: Tokenizer, *, num_shards: int, num_documents: int
) -> list[shards.ShardTask]:
    directory.mkdir()
    tokenizer.save(directory)
    (directory / "corpus.txt").write_text(make_text(num_documents=num_documents), encoding="utf-8")
    config = Config.model_validate({"corpus": {"paths": [str(directory / "corpus.txt")]}})
    spool.spool_documents(
        [list(corpus.read_documents(config.corpus))],
        directory,
        num_shards={"train": num_shards},
        texts_of=lambda batch: {"train": [document.text.encode() for document in batch]},
    )
    return [
        shards.ShardTask(
            split="train",
            index=index,
            spool_path=spool.spool_path(directory, "train", index),
            shard_path=directory / f"{index}.tfrecord",
            tokenizer_dir=directory,
            tokenizer=TokenizerConfig.model_validate(tokenizer.settings),
            vocabulary_sha256=tokenizer.vocabulary_sha256,
            examples=ExamplesConfig(max_seq_length=32),
            compression="none",
            seed=5,
        )
        for index in range(num_shards)
    ]


def kill_one_worker(killed: list[int]) -> None:
    """SIGKILL the first worker that is seen making a shard."""
    this = psutil.Process()
    for _ in range(600):
        for process in this.children(recursive=True):
            try:
                title = process.cmdline()[:1]
                if title == ["ray::_write_shard"]:
                    process.kill()
                    killed.append(process.pid)
                    return
            except psutil.Error:
                continue
        time.sleep(0.05)


@pytest.mark.timeout(600)
def test_records_are_those_of_one_process_though_a_worker_is_killed(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    sizes = {"num_shards": 6, "num_documents": 3000}
    expected = [
        shards.write_shard(task) for task in make_tasks(tmp_path / "one", tokenizer, **sizes)
    ]
    tasks = make_tasks(tmp_path / "ray", tokenizer, **sizes)
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_worker, args=(killed,))
    killer.start()
    made = dict(run_on_ray(FirstPass(run=lambda: tasks), num_workers=2))
    killer.join()
    assert killed, "no worker was seen"
    assert [made[task] for task in tasks] == expected
    for index in range(6):
        name = f"{index}.tfrecord"
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    left = [process.name() for process in psutil.Process().children(recursive=True)]
    assert not [name for name in left if "ray" in name]


@pytest.mark.timeout(600)
def test_an_error_in_the_data_is_told_as_without_ray(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (task,) = make_tasks(tmp_path / "one", tokenizer, num_shards=1, num_documents=1)
    with pytest.raises(ValueError, match=r"train shard 0 has 1 of 1 document"):
        list(run_on_ray(FirstPass(run=lambda: [task]), num_workers=1))
    task.spool_path.unlink()
    with pytest.raises(FileNotFoundError, match=r"must be on storage that every node sees"):
        list(run_on_ray(FirstPass(run=lambda: [task]), num_workers=1))


@pytest.mark.timeout(600)
def test_the_command_writes_the_same_folder_with_either_engine(
    tmp_path: Path, corpus_config: Config
) -> None:
    from click.testing import CliRunner

    from bert_tf.cli.main import main
    from bert_tf.config import write_config

    write_config(corpus_config, tmp_path)
    for engine in ("local", "ray"):
        arguments = ["prepare", "--config", str(tmp_path / "config.yaml"), "--engine", engine]
        result = CliRunner().invoke(main, [*arguments, "--output-dir", str(tmp_path / engine)])
        assert result.exit_code == 0, result.output
    local, ray = (
        {path.name: path.read_bytes() for path in (tmp_path / engine).iterdir()}
        for engine in ("local", "ray")
    )
    assert local == ray
