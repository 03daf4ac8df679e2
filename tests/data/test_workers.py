"""Worker processes: killed ones are told of, and none outlives its work or its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from bert_tf.config import Config, write_config
from bert_tf.data.preparation import workers
from bert_tf.data.preparation.prepare import prepare_records

T = TypeVar("T")
SCRIPT = """
import sys
from bert_tf.config import load_config
from bert_tf.data.preparation import workers
from bert_tf.data.preparation.prepare import prepare_records

if __name__ == "__main__":
    workers.WORKER_BYTES = 1
    prepare_records(load_config(sys.argv[1]), sys.argv[2])
    print("done")
"""


@pytest.fixture
def two_workers(corpus_config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(workers, "WORKER_BYTES", 1)
    section = corpus_config.records.model_copy(update={"num_workers": 2})
    return corpus_config.model_copy(update={"records": section})


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


def test_no_process_outlives_an_error_in_the_corpus(tmp_path: Path, two_workers: Config) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\n\ntwo \xff\n")
    section = two_workers.corpus.model_copy(update={"paths": (str(path),)})
    config = two_workers.model_copy(update={"corpus": section})
    with pytest.raises(ValueError, match=r"text\.txt:3: text must be UTF-8"):
        prepare_records(config, tmp_path / "records")
    assert _started_here() == []


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
