"""Asks a served classifier about unseen texts over REST and gRPC, and writes down the answers."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bert_tf.files import write_whole
from serving.client import GrpcClient, RestClient
from serving.errors import ServingError

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 30.0
NUM_SHOWN = 8
TEXTS_PER_REQUEST = 64


def ask(
    model_dir: Path,
    *,
    eval_path: Path,
    from_scratch_dir: Path,
    output_path: Path,
) -> None:
    """Serve `model_dir` (BASE/NAME), ask it, and write a JSON summary.

    The summary holds how many of the same texts the served model and the from-scratch one (asked
    in this process) labelled right, whether gRPC agreed with REST, and some texts with answers.
    """
    from bert_tf.data.batches.tasks import read_labelled
    from bert_tf.export.predict import predict_texts

    questions = read_labelled(
        eval_path, text_field="text", text_pair_field=None, label_field="label"
    )
    texts, labels = questions.texts, questions.labels
    with serve(model_dir) as (rest_url, grpc_address):
        with RestClient(rest_url, model_name=model_dir.name) as client:
            over_rest = _ask_in_batches(client, texts)
        with GrpcClient(grpc_address, model_name=model_dir.name) as client:
            over_grpc = _ask_in_batches(client, texts)
    from_scratch = predict_texts(from_scratch_dir, texts)
    summary = {
        "num_texts": len(texts),
        "right_over_rest": _num_right(over_rest, labels),
        "right_from_scratch": _num_right(from_scratch, labels),
        "grpc_agrees": [row["label"] for row in over_grpc] == [row["label"] for row in over_rest],
        "shown": [
            {"text": text, "label": label, "answer": row["label"], "score": round(row["score"], 3)}
            for text, label, row in zip(texts, labels, over_rest, strict=True)
        ][:: max(1, len(texts) // NUM_SHOWN)][:NUM_SHOWN],
    }
    write_whole(output_path, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def serve(model_dir: Path) -> Iterator[tuple[str, str]]:
    """The local server over `model_dir` in a process of its own: its REST URL, gRPC address.

    Raises:
        RuntimeError: it ended, or did not answer in time; with the end of its log.
    """
    rest_port, grpc_port = _free_ports(2)
    command = [
        sys.executable,
        "-m",
        "serving.local_server",
        f"--model_name={model_dir.name}",
        f"--model_base_path={model_dir}",
        f"--rest_api_port={rest_port}",
        f"--port={grpc_port}",
    ]
    log_path = model_dir.parent / "server.log"
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdout=log_file, stderr=subprocess.STDOUT
        )
    try:
        rest_url = f"http://127.0.0.1:{rest_port}"
        _wait_until_available(rest_url, model_dir.name, process=process, log_path=log_path)
        yield rest_url, f"127.0.0.1:{grpc_port}"
    finally:
        process.send_signal(signal.SIGTERM)  # nothing happens to one that has ended
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_available(
    rest_url: str, name: str, *, process: subprocess.Popen[bytes], log_path: Path
) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_SECONDS
    with RestClient(rest_url, model_name=name) as client:
        while process.poll() is None and time.monotonic() < give_up_at:
            with contextlib.suppress(ServingError):
                return client.wait_until_available(2.0)
    log = log_path.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"{log_path}: the local server must answer. Received: its log ends\n{log}")


def _ask_in_batches(client: RestClient | GrpcClient, texts: Sequence[str]) -> list[Any]:
    return [
        answer
        for start in range(0, len(texts), TEXTS_PER_REQUEST)
        for answer in client.predict_texts(texts[start : start + TEXTS_PER_REQUEST])
    ]


def _num_right(answers: Sequence[dict[str, Any]], labels: Sequence[str]) -> int:
    return sum(row["label"] == label for row, label in zip(answers, labels, strict=True))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
