import multiprocessing
import os
import signal
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from bert_tf.system.folder_lock import LOCK_FILE, lock_folder

NUM_PROCESSES, NUM_TURNS = 3, 200


def test_the_lock_file_is_gone_after_success_and_failure(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with lock_folder(folder, command="a"):
        assert (folder / LOCK_FILE).is_file()
    assert list(folder.iterdir()) == []
    with pytest.raises(RuntimeError, match="no more"), lock_folder(folder, command="a"):
        raise RuntimeError("no more")
    assert list(folder.iterdir()) == []


def test_the_second_is_told_who_is_there(tmp_path: Path) -> None:
    with lock_folder(tmp_path, command="first"):
        for _ in range(2):
            with (
                pytest.raises(
                    ValueError,
                    match=rf"`second` while `first` \(process {os.getpid()} on .*Wait for it or",
                ),
                lock_folder(tmp_path, command="second"),
            ):
                pass
    with lock_folder(tmp_path, command="second"):
        pass


def test_a_killed_process_locks_nobody_out(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / LOCK_FILE).is_file()
    with lock_folder(tmp_path, command="second"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_removed_lock_file_lets_no_two_in(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(NUM_PROCESSES)
    processes = [
        context.Process(target=_take_turns, args=(tmp_path, barrier)) for _ in range(NUM_PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * NUM_PROCESSES


def _die(directory: Path) -> None:
    with lock_folder(directory, command="first"):
        os.kill(os.getpid(), signal.SIGKILL)


def _take_turns(directory: Path, barrier: Barrier) -> None:
    """Fails if another process is within the lock at the same time."""
    barrier.wait()
    num_turns = 0
    while num_turns < NUM_TURNS:
        try:
            with lock_folder(directory, command="turn"):
                (directory / "inside").mkdir()
                (directory / "inside").rmdir()
                num_turns += 1
        except ValueError:
            continue
