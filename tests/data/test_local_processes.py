"""Worker processes: they begin while the corpus is spooled, and write what one process writes.

Killed ones are told of, and none outlives its work or its parent.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from bert_tf.config import Config, write_config
from bert_tf.data import records
from bert_tf.data.preparation import local_processes, spool
from bert_tf.data.preparation.prepare import prepare_records

T = TypeVar("T")
SCRIPT = """
import sys
import time

import matplotlib  # worker processes import it with this script, though they do without it

from bert_tf.config import load_config
from bert_tf.data.preparation import spool, local_processes
from bert_tf.data.preparation.prepare import prepare_records

def wait(stage, done, total):
    while stage in sys.argv[3:]:
        time.sleep(1)

if __name__ == "__main__":
    local_processes.WORKER_BYTES = 1
    spool.BUFFER_BYTES, spool.PROGRESS_DOCUMENTS = 256, 50
    prepare_records(load_config(sys.argv[1]), sys.argv[2], on_progress=wait)
    print("done")
"""


@pytest.fixture
def two_workers(corpus_config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(local_processes, "WORKER_BYTES", 1)
    monkeypatch.setattr(spool, "BUFFER_BYTES", 256)
    monkeypatch.setattr(spool, "PROGRESS_DOCUMENTS", 50)
    section = corpus_config.records.model_copy(update={"num_workers": 2})
    return corpus_config.model_copy(update={"records": section})


def test_workers_begin_while_the_corpus_is_spooled_and_write_the_same_bytes(
    tmp_path: Path, two_workers: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    config = _with_shards(two_workers, num_shards=4)
    section = config.records.model_copy(update={"num_workers": 1})
    prepare_records(config.model_copy(update={"records": section}), one)
    made_here: list[str] = []
    write_shard = records.write_shard

    def note(path: Path, *arguments: Any, **keywords: Any) -> records.Shard:
        made_here.append(path.name)
        return write_shard(path, *arguments, **keywords)

    def wait(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("documents", 50):
            begun.extend(_wait_for(lambda: _begun_shards(two)))
            assert not list(two.glob("*.tfrecord")), "none is whole before its text is"

    begun: list[Path] = []
    monkeypatch.setattr(records, "write_shard", note)
    prepare_records(config, two, on_progress=wait)
    assert begun
    assert made_here == ["eval-00000-of-00001.tfrecord"], "one over for two workers"
    assert _records(two) == _records(one)
    assert _started_here() == []


def test_a_killed_worker_is_told_of_and_the_run_can_go_on(
    tmp_path: Path, records_dir: Path, two_workers: Config
) -> None:
    def kill_workers(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("shards", 1):
            for process in _started_here():
                for worker in process.children():
                    worker.kill()

    # So many that some are missing when the workers are killed.
    config = _with_shards(two_workers, num_shards=60)
    with pytest.raises(RuntimeError, match=r"a worker process must live.* Run the same command"):
        prepare_records(config, tmp_path / "records", on_progress=kill_workers)
    assert _started_here() == []
    manifest = prepare_records(config, tmp_path / "records")
    assert sum(manifest.num_documents.values()) == 200
    assert _started_here() == []


def test_an_error_in_the_corpus_ends_the_workers_and_leaves_nothing(
    tmp_path: Path, two_workers: Config
) -> None:
    begun: list[list[Path]] = []
    path = tmp_path / "text.txt"
    lines = [f"It is number {number} of many." for number in range(90)]
    path.write_bytes("\n\n".join(lines).encode() + b"\n\ntwo \xff\n")
    section = two_workers.corpus.model_copy(update={"paths": (str(path),)})
    config = two_workers.model_copy(update={"corpus": section})
    with pytest.raises(ValueError, match=r"text\.txt:181: text must be UTF-8"):
        prepare_records(
            config,
            tmp_path / "records",
            on_progress=lambda *_: begun.append(
                _wait_for(lambda: _begun_shards(tmp_path / "records"))
            ),
        )
    assert len(begun) == 1
    assert _started_here() == []
    left = sorted(path.name for path in (tmp_path / "records").iterdir())
    assert left == [".prepare", "config.yaml", "folder.json", "tokenizer.json", "vocab.txt"]
    assert not (tmp_path / "records" / ".prepare" / spool.SPOOLED_FILE).exists()


@pytest.mark.flows
def test_a_worker_killed_while_the_corpus_is_spooled_is_told_of(
    tmp_path: Path, records_dir: Path, two_workers: Config
) -> None:
    def kill_one(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("documents", 50):
            _wait_for(lambda: _begun_shards(tmp_path))
            (server,) = _started_here()
            server.children()[0].kill()

    with pytest.raises(RuntimeError, match=r"a worker process must live.* Run the same command"):
        prepare_records(two_workers, tmp_path, on_progress=kill_one)
    assert _started_here() == []
    stages: list[str] = []
    prepare_records(two_workers, tmp_path, on_progress=lambda stage, *_: stages.append(stage))
    assert set(stages) == {"shards"}, "the corpus is spooled"
    assert _records(tmp_path) == _records(records_dir)
    assert not _begun_shards(tmp_path)


@pytest.mark.flows
@pytest.mark.parametrize("stage", ["documents", "shards"])
def test_a_run_killed_with_workers_at_work_can_be_run_again(
    tmp_path: Path, records_dir: Path, two_workers: Config, stage: str
) -> None:
    folder = tmp_path / "records"
    write_config(two_workers, tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = [str(tmp_path / name) for name in ("script.py", "config.yaml", "records")]
    with subprocess.Popen([sys.executable, *arguments, stage], stderr=subprocess.DEVNULL) as script:
        _wait_for(lambda: _begun_shards(folder) or list(folder.glob("*.tfrecord")))
        assert list(folder.glob("*.tfrecord")) == [] or stage == "shards"
        processes = psutil.Process(script.pid).children(recursive=True)
        os.kill(script.pid, signal.SIGKILL)
    _wait_for(lambda: not [process for process in processes if _is_alive(process)])
    prepare_records(two_workers, folder)
    assert _records(folder) == _records(records_dir)
    assert not _begun_shards(folder)


@pytest.mark.parametrize("moment", ["import", "shards"])
def test_no_process_outlives_a_killed_parent(
    tmp_path: Path, two_workers: Config, moment: str
) -> None:
    config = _with_shards(two_workers, num_shards=60)
    write_config(config, tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = [str(tmp_path / name) for name in ("script.py", "config.yaml", "records")]
    with subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL) as script:
        this = psutil.Process(script.pid)

        def started() -> list[psutil.Process]:
            every = this.children(recursive=True)
            return every if len(every) >= {"import": 2, "shards": 4}[moment] else []

        processes = _wait_for(started)
        os.kill(script.pid, signal.SIGKILL)
    _wait_for(lambda: not [process for process in processes if _is_alive(process)])


def test_a_script_with_the_usual_guard_uses_workers(
    tmp_path: Path, records_dir: Path, two_workers: Config
) -> None:
    write_config(two_workers, tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = [str(tmp_path / name) for name in ("script.py", "config.yaml", "records")]
    output = subprocess.run([sys.executable, *arguments], check=True, capture_output=True).stdout
    assert output == b"done\n", "the guarded part runs once"
    for path in records_dir.glob("*.tfrecord"):
        assert (tmp_path / "records" / path.name).read_bytes() == path.read_bytes()


def _with_shards(config: Config, *, num_shards: int) -> Config:
    section = config.records.model_copy(update={"num_shards": num_shards})
    return config.model_copy(update={"records": section})


def _begun_shards(folder: Path) -> list[Path]:
    return list(folder.glob(".train-*.tfrecord.*.tmp"))


def _records(folder: Path) -> dict[str, bytes]:
    names = itertools.chain(folder.glob("*.tfrecord"), folder.glob("*.json"))
    return {path.name: path.read_bytes() for path in names}


def _started_here() -> list[psutil.Process]:
    """Fork servers: Python's resource tracker stays."""
    children = psutil.Process().children()
    return [child for child in children if _is_alive(child) and "forkserver" in child.cmdline()[-1]]


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _wait_for(condition: Callable[[], T]) -> T:
    for _ in range(600):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to pass")
