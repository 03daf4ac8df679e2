"""Half an hour of load with ten version swaps: no request fails, and memory stays flat.

SOAK_MINUTES shortens it.
"""

import itertools
import os
import shutil
import statistics
import threading
import time

import psutil
import pytest

from serving.client import GrpcClient, RestClient
from tests.serving.server_process import serve

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
NUM_SWAPS = 10
NUM_CLIENTS = 4

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 * MINUTES + 300)]


def test_half_an_hour_of_load_with_ten_swaps(publish, tmp_path):
    base = tmp_path / "demo"
    publish(base, 1, "one")
    failed: list[Exception] = []
    counts = [0] * (2 * NUM_CLIENTS)
    is_over = threading.Event()

    def load(number: int) -> None:
        make, address = ((RestClient, server.rest_url), (GrpcClient, server.grpc_address))[
            number % 2
        ]
        with make(address, model_name="demo", num_retries=0) as client:
            for length in itertools.cycle((1, 30, 300)):
                if is_over.is_set():
                    return
                try:
                    client.predict_texts(["글" * length] * (1 + length % 4))
                    counts[number] += 1
                except Exception as error:
                    failed.append(error)

    flags = ("--enable_batching", "--file_system_poll_wait_seconds=0.2")
    memory = []
    with serve(base, *flags) as server:
        clients = [threading.Thread(target=load, args=(n,)) for n in range(2 * NUM_CLIENTS)]
        try:
            for thread in clients:
                thread.start()
            for version in range(2, 2 + NUM_SWAPS):
                end = time.monotonic() + MINUTES * 60 / NUM_SWAPS
                while time.monotonic() < end:
                    time.sleep(min(1.0, MINUTES))
                    memory.append(psutil.Process(server.process.pid).memory_info().rss)
                publish(base, version, ("one", "two")[version % 2])
                if version > 2:
                    shutil.rmtree(base / str(version - 2))
        finally:
            is_over.set()
            for thread in clients:
                thread.join()
        with RestClient(server.rest_url, model_name="demo") as client:
            (state,) = (
                s for s in client.status()["model_version_status"] if s["state"] == "AVAILABLE"
            )
    assert not failed, failed[:3]
    assert min(counts) > 100
    assert int(state["version"]) >= NUM_SWAPS
    early, late = memory[len(memory) // 5 : len(memory) // 2], memory[-len(memory) // 5 :]
    grown = statistics.median(late) - statistics.median(early)
    assert grown < 0.1 * statistics.median(early), f"{grown / 1e6:.0f} MB more"
