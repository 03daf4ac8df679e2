"""The servers of the serving benchmark, processes on loopback, and the texts they are asked."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.client import RestClient
from serving.server.config_messages import BatchingParameters, read_message

ROOT = Path(__file__).parents[1]
BATCHING = ROOT / "serving" / "production" / "batching.config"
MODEL = "classifier"


@dataclass
class Server:
    """A server that runs, and what it took."""

    rest_url: str
    grpc_address: str = ""
    process_id: int = 0
    poll_seconds: float = 1.0
    """Between the local server's looks at the disk."""
    alone: list[float] = field(default_factory=list)
    """Seconds of each request of one client."""
    together: list[float] = field(default_factory=list)
    """Seconds of each request of many clients."""
    classes: list[int] = field(default_factory=list)
    """Of labelled texts."""
    is_right: list[bool] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Texts a second of many clients, a number a round."""

    def client(self) -> RestClient:
        return RestClient(self.rest_url, model_name=MODEL, timeout_seconds=120)


@contextlib.contextmanager
def serve_saved_model(
    base: Path, *, batching: bool = True, num_batch_threads: int | None = None
) -> Iterator[Server]:
    """The local server, set up as serving/production is, for the cores of this machine; a folder
    called `bfloat16` as docs/serving.md has it of such models.

    `num_batch_threads`: batches at a time; None is as many as there are cores."""
    port, rest_port = _free_ports()
    command = [
        *("-m", "serving.local_server", f"--model_name={MODEL}", f"--model_base_path={base}"),
        *(f"--port={port}", f"--rest_api_port={rest_port}"),
    ]
    flags = _batching_flags(num_batch_threads) if batching else contextlib.nullcontext([])
    environment = {"TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": str(int(base.name == "bfloat16"))}
    with flags as own, _process([*command, *own], environment=environment) as process:
        server = Server(f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{port}", process.pid)
        with server.client() as client:
            client.wait_until_available(120)
        yield server


@contextlib.contextmanager
def _batching_flags(num_batch_threads: int | None) -> Iterator[list[str]]:
    """Flags of the local server; the file that they name is there in the block."""
    settings = read_message(BATCHING, BatchingParameters, flag="--batching_parameters_file")
    settings.num_batch_threads.value = num_batch_threads or os.cpu_count() or 1
    threads = (settings.num_batch_threads.value + 1) * settings.max_batch_size.value
    with tempfile.NamedTemporaryFile("w", suffix=".config") as file:
        file.write(str(settings))
        file.flush()
        yield [
            *("--tensorflow_intra_op_parallelism=1", "--enable_batching"),
            *(f"--rest_api_num_threads={threads}", f"--grpc_max_threads={threads}"),
            f"--batching_parameters_file={file.name}",
        ]


@contextlib.contextmanager
def serve_peer(folder: Path, runtime: str, *, max_length: int) -> Iterator[Server]:
    """A peer's model."""
    command = ["-m", "benchmarks.serving_peers", "--runtime", runtime, "--model", str(folder)]
    with _process([*command, "--port", "0", "--max-length", str(max_length)]) as process:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        yield Server(url, process_id=process.pid)


def _free_ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


@contextlib.contextmanager
def _process(
    command: list[str], *, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | (environment or {}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def read_texts(data: Path, *, seed: int) -> list[str]:
    """Sentences and paragraphs, as many of the ones as of the others, mixed."""
    rows = (data / "sst2" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    sentences = [row.split("\t")[0] for row in rows]
    lines = (data / "wikitext2_valid.txt").read_text(encoding="utf-8").splitlines()
    paragraphs = [line.strip() for line in lines if line.strip() and not line.startswith(" =")]
    number = min(len(sentences), len(paragraphs))
    mixed = sentences[:number] + paragraphs[:number]
    random.Random(seed).shuffle(mixed)
    return mixed
