"""What do swaps of versions cost the local server, in memory and in waits, while clients ask?

    python -m benchmarks.serving_swaps --saved-model DIR/1 [--swaps 200] [--clients 4] [--batching]

Each swap publishes a copy of the SavedModel under the next number, waits until it answers and the
one before is unloaded, and removes that one. Clients ask all the time, half of them over gRPC.
"""

import argparse
import itertools
import os
import shutil
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.machine import describe_machine
from benchmarks.serving_processes import MODEL, Server, serve_saved_model
from serving.client import GrpcClient, RestClient

SECONDS_BETWEEN_LOOKS = 0.05
TEXT = "배송이 빠르고 좋아요. "


def main() -> None:
    """Swap and print a line now and then, and the sum at the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--saved-model", type=Path, required=True, help="BASE/VERSION")
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--batching", action="store_true")
    arguments = parser.parse_args()
    print(f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}; {arguments.clients} clients")
    with tempfile.TemporaryDirectory(prefix="bert_tf-swaps-") as scratch:
        base = Path(scratch)
        publish(arguments.saved_model, base, 1)
        with serve_saved_model(base, batching=arguments.batching) as server:
            load = Load(server, arguments.clients)
            try:
                memory = swap(server, arguments.saved_model, base, arguments.swaps, load)
            finally:
                load.stop()
    second, last = memory[min(1, len(memory) - 1)], memory[-1]
    print(f"memory: {second:.0f} MB after the second swap, {last:.0f} MB after the last", end="")
    print(f" ({last / second - 1:+.1%}), {max(memory):.0f} MB at most")
    waits = sorted(load.waits)
    share = {name: waits[int(len(waits) * at)] for name, at in (("p50", 0.5), ("p99", 0.99))}
    print(f"{len(waits)} requests, {len(load.failed)} failed; seconds: ", end="")
    print(", ".join(f"{n} {s:.3f}" for n, s in share.items()), f"longest {waits[-1]:.2f}")


class Load:
    """Clients that ask until they are stopped."""

    def __init__(self, server: Server, num_clients: int) -> None:
        self.waits: list[float] = []
        self.failed: list[Exception] = []
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(server, number), daemon=True)
            for number in range(num_clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, server: Server, number: int) -> None:
        make, address = (RestClient, server.rest_url)
        if number % 2:
            make, address = (GrpcClient, server.grpc_address)
        with make(address, model_name=MODEL, num_retries=0, timeout_seconds=60) as client:
            while not self._is_over.is_set():
                started_at = time.monotonic()
                try:
                    client.predict_texts([TEXT * (1 + number)] * (1 + number % 4))
                except Exception as error:
                    self.failed.append(error)
                self.waits.append(time.monotonic() - started_at)


def publish(saved_model: Path, base: Path, version: int) -> None:
    """A copy that appears whole."""
    shutil.copytree(saved_model, base / f"tmp-{version}")
    (base / f"tmp-{version}").rename(base / str(version))


def swap(server: Server, saved_model: Path, base: Path, num_swaps: int, load: Load) -> list[float]:
    """Megabytes of the server after each swap."""
    memory: list[float] = []
    with server.client() as client:
        for version in range(2, num_swaps + 2):
            started_at = time.monotonic()
            publish(saved_model, base, version)
            for _ in itertools.count():
                entries = client.status()["model_version_status"]
                states = {int(entry["version"]): entry["state"] for entry in entries}
                if states.get(version) == "AVAILABLE" and "UNLOADING" not in states.values():
                    break
                time.sleep(SECONDS_BETWEEN_LOOKS)
            shutil.rmtree(base / str(version - 1))
            seconds = time.monotonic() - started_at
            time.sleep(server.poll_seconds)  # the next look frees what was unloaded
            memory.append(psutil.Process(server.process_id).memory_info().rss / 1e6)
            if version <= 3 or version % 10 == 0:
                print(
                    f"version {version}: {memory[-1]:.0f} MB, swapped in {seconds:.1f} s, longest "
                    f"wait {max(load.waits):.2f} s, {len(load.failed)} failed",
                    flush=True,
                )
    return memory


if __name__ == "__main__":
    main()
