"""TF_CONFIG read, and workers waited for."""

import json
import socket
import threading
from typing import Any

import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.training.workers.rendezvous import StoppedWaitingError, wait_for_workers
from bert_tf.training.workers.tf_config import ALONE, Worker, parse_tf_config


def make(cluster: Any, job: str = "worker", index: Any = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


@pytest.mark.parametrize("text", [None, "", "{}", '{"cluster": {}}'])
def test_without_a_cluster_a_process_is_alone(text: str | None) -> None:
    assert parse_tf_config(text) == ALONE
    assert (ALONE.num_workers, ALONE.is_chief) == (1, True)


@pytest.mark.parametrize(
    ("job", "index", "number"), [("chief", 0, 0), ("worker", 0, 1), ("worker", "1", 2)]
)
def test_workers_are_numbered_from_the_chief_on(job: str, index: Any, number: int) -> None:
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"], "evaluator": ["d:1"]}
    worker = parse_tf_config(make(cluster, job, index))
    assert (worker.number, worker.num_workers) == (number, 3)
    assert worker.is_chief == (number == 0)
    assert worker.addresses == ("a:1", "b:1", "c:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG must be JSON"),
        ("[1]", "must be a JSON object"),
        (make({"worker": ["a:1"]}, "evaluator"), "only tasks of type chief and worker train"),
        (make({"worker": ["a:1"]}, index=1), r"one of the cluster's 1 worker tasks, from 0"),
        (make({"worker": ["a"]}), r"an address must be HOST:PORT\. Received: 'a'"),
        (make({"worker": ["a:1", "a:1"]}), "no address twice"),
        (make({"worker": ["a:1"], "ps": ["b:1"]}), "without parameter servers"),
        (make({"worker": ["a:1"]}, index=-1), "an index, a whole number from 0"),
    ],
)
def test_what_is_no_cluster_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_tf_config(text)


def test_a_command_refuses_a_malformed_one(tmp_path: Any) -> None:
    result = CliRunner().invoke(
        main, ["pretrain", "--output-dir", str(tmp_path)], env={"TF_CONFIG": "{"}
    )
    assert result.exit_code == 2
    assert "TF_CONFIG must be JSON" in result.output


def free_addresses(count: int) -> tuple[str, ...]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets)
    for opened in sockets:
        opened.close()
    return addresses


def test_workers_wait_for_each_other() -> None:
    jobs = (("worker", free_addresses(2)),)
    has_first_returned = threading.Event()

    def come_later() -> None:
        wait_for_workers(Worker(jobs, "worker", 1))
        # As TensorFlow's server, which then listens there.
        port = int(jobs[0][1][1].rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            has_first_returned.wait(30)

    other = threading.Thread(target=come_later)
    threading.Timer(0.3, other.start).start()
    wait_for_workers(Worker(jobs, "worker", 0), timeout_seconds=30)
    assert other.ident is not None, "not before the other has come"
    has_first_returned.set()
    other.join(30)
    assert not other.is_alive()


@pytest.mark.parametrize("worker", [ALONE, Worker((("worker", ("127.0.0.1:1",)),))])
def test_a_worker_alone_waits_for_nobody_and_needs_no_port(worker: Worker) -> None:
    wait_for_workers(worker, timeout_seconds=0.0)


def test_a_worker_that_does_not_come_is_named() -> None:
    worker = Worker((("worker", free_addresses(2)),), "worker", 0)
    with pytest.raises(TimeoutError, match=r"no answer from worker 1 \(127\.0\.0\.1:\d+\)"):
        wait_for_workers(worker, timeout_seconds=0.3)
    with pytest.raises(StoppedWaitingError):
        wait_for_workers(worker, is_stop_requested=lambda: True)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        worker = Worker((("worker", (address, *free_addresses(1))),), "worker", 0)
        with pytest.raises(OSError, match=f"The port of {address}, this worker's address"):
            wait_for_workers(worker)
