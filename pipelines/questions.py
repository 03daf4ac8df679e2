"""Asks a served classifier about unseen texts over REST and gRPC, and writes down the answers."""

import contextlib
import csv
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from serving.client import GrpcClient, RestClient

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 30.0
NUM_SHOWN = 8


def ask(
    model_dir: Path,
    *,
    eval_path: Path,
    from_scratch_dir: Path,
    output_path: Path,
    num_questions: int,
    seed: int = 0,
) -> None:
    """Serve `model_dir` (BASE/NAME), ask it, and write a JSON summary.

    The summary holds how many of the same texts the served model and the from-scratch one (asked
    in this process) labelled right, whether gRPC agreed with REST, and some texts with answers.
    """
    from bert_tf.export.saved_model import predict_texts

    texts, labels = read_questions(eval_path, num_questions=num_questions, seed=seed)
    with serve(model_dir) as (rest_url, grpc_address):
        with RestClient(rest_url, model_name=model_dir.name) as client:
            client.wait_until_available(START_TIMEOUT_SECONDS)
            over_rest = client.predict_texts(texts)
        with GrpcClient(grpc_address, model_name=model_dir.name) as client:
            over_grpc = client.predict_texts(texts)
    from_scratch = predict_texts(from_scratch_dir, texts)
    summary = {
        "num_texts": len(texts),
        "right_over_rest": _num_right(over_rest, labels),
        "right_from_scratch": _num_right(from_scratch, labels),
        "grpc_agrees": [row["label"] for row in over_grpc] == [row["label"] for row in over_rest],
        "shown": [
            {"text": text, "label": label, "answer": row["label"], "score": round(row["score"], 3)}
            for text, label, row in zip(texts, labels, over_rest, strict=True)
        ][:NUM_SHOWN],
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    output_path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def serve(model_dir: Path) -> Iterator[tuple[str, str]]:
    """The local server over `model_dir` in a process of its own: its REST URL, gRPC address."""
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
        yield f"http://127.0.0.1:{rest_port}", f"127.0.0.1:{grpc_port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_questions(path: Path, *, num_questions: int, seed: int) -> tuple[list[str], list[str]]:
    """A fixed sample of the rows of a `text<TAB>label` file."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    sample = random.Random(seed).sample(rows, min(num_questions, len(rows)))
    return [row["text"] for row in sample], [row["label"] for row in sample]


def _num_right(answers: Sequence[dict[str, Any]], labels: Sequence[str]) -> int:
    return sum(row["label"] == label for row, label in zip(answers, labels, strict=True))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
