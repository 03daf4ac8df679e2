"""How fast is a served classifier, beside keras-nlp's, PyTorch and ONNX Runtime?

    python -m benchmarks.serving --data ../shared/data/en [--size base] [--rounds 3]

Real texts, half sentences of SST-2, half paragraphs of WikiText, cut at `--max-length` tokens, in
random order. Every server is a process of its own on loopback, asked by the same client over
TensorFlow Serving's REST predict path, in turn, all in one run:

    bert_tf      `bert-tf export`, the local server with serving/production/batching.config
    keras-nlp    its BertTextClassifier and preprocessor as a SavedModel, in the same server
    PyTorch      Hugging Face's classifier, float32 and bfloat16, behind benchmarks.serving_peers
    ONNX Runtime the same weights, behind the same

First one text at a time, then `--clients` at once, each with one text at a time. Then what REST and
gRPC cost: single texts, each asked of the SavedModel in this process and through the server, which
now does not batch.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.serving_overhead import measure_overhead, seconds_of
from benchmarks.serving_processes import Server, read_texts, serve_peer, serve_saved_model

OURS = "bert_tf"


def main() -> None:
    """Measure everything in turn and print Markdown tables."""
    arguments = _parse()
    texts = read_texts(arguments.data, seed=arguments.seed)
    with tempfile.TemporaryDirectory(prefix="bert_tf-serving-") as scratch:
        folder = arguments.models or Path(scratch)
        starts, saved_model = make_servers(arguments, folder)
        with contextlib.ExitStack() as running:
            servers = {name: running.enter_context(start()) for name, start in starts.items()}
            compare_answers(servers, texts[:16])
            take = iter(texts * 1000)
            for _ in range(arguments.rounds):
                alone = [next(take) for _ in range(arguments.alone)]
                together = [next(take) for _ in range(arguments.together)]
                for server in servers.values():
                    server.alone += ask_alone(server, alone)
                    seconds, rate = ask_together(server, together, arguments.clients)
                    server.together += seconds
                    server.rates.append(rate)
            print_servers(arguments, servers)
        measure_overhead(saved_model, texts[: arguments.alone * 2])


def make_servers(
    arguments: argparse.Namespace, folder: Path
) -> tuple[dict[str, Callable[[], contextlib.AbstractContextManager[Server]]], Path]:
    """What starts each server, and our SavedModel."""
    from benchmarks import serving_models as models

    length = arguments.max_length
    source = folder / "huggingface"
    if not source.exists():
        models.make_hugging_face(source, size=arguments.size, max_length=length)
    ours = models.make_ours(source, folder / "bert_tf", precision="float32", max_length=length)
    theirs = models.make_keras_nlp(
        folder / "bert_tf" / "model", folder / "keras_nlp", max_length=length
    )
    peers = {
        "Hugging Face, PyTorch float32": "torch-float32",
        "Hugging Face, PyTorch bfloat16": "torch-bfloat16",
        "ONNX Runtime float32": "onnx",
    }
    starts = {
        OURS: lambda: serve_saved_model(ours),
        "keras-nlp BertTextClassifier": lambda: serve_saved_model(theirs),
        **{
            name: lambda runtime=runtime: serve_peer(source, runtime, max_length=length)
            for name, runtime in peers.items()
        },
    }
    if arguments.bfloat16:
        half = models.make_ours(source, folder / "bert_tf", precision="bfloat16", max_length=length)
        starts["bert_tf bfloat16"] = lambda: serve_saved_model(half)
    return starts, ours / "1"


def compare_answers(servers: dict[str, Server], texts: list[str]) -> None:
    """Raises SystemExit where servers disagree: then they do not do the same work."""
    rows = [{"text": text} for text in texts]
    answers = {}
    for name, server in servers.items():
        with server.client() as client:
            predictions = client.predict(instances=rows)
        answers[name] = np.array(
            [row["probabilities"] if isinstance(row, dict) else row for row in predictions]
        )
    for name, answer in answers.items():
        difference = float(np.abs(answer - answers[OURS]).max())
        if difference > (0.05 if "bfloat16" in name or "keras" in name else 1e-3):
            raise SystemExit(f"{name} answers otherwise than {OURS}: {difference:.4f}.")


def ask_alone(server: Server, texts: list[str]) -> list[float]:
    """Seconds of each request, one after the other."""
    with server.client() as client:
        client.predict(instances=[{"text": texts[0]}])
        return [
            seconds_of(lambda text=text: client.predict(instances=[{"text": text}]))
            for text in texts
        ]


def ask_together(server: Server, texts: list[str], num_clients: int) -> tuple[list[float], float]:
    """Seconds of each request and texts a second, of clients that each ask without a pause."""
    waiting, seconds = iter(texts), []
    lock = threading.Lock()

    def work() -> None:
        with server.client() as client:
            while True:
                with lock:
                    text = next(waiting, None)
                if text is None:
                    return
                taken = seconds_of(lambda text=text: client.predict(instances=[{"text": text}]))
                seconds.append(taken)

    threads = [threading.Thread(target=work) for _ in range(num_clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds, len(texts) / (time.perf_counter() - started)


def print_servers(arguments: argparse.Namespace, servers: dict[str, Server]) -> None:
    """A row a server."""
    from benchmarks.serving_models import describe

    size = arguments.size
    if arguments.models:
        size = describe(arguments.models / "huggingface")
    now = datetime.now(UTC).date()
    print(
        f"{size}, at most {arguments.max_length} tokens, {arguments.clients} clients, "
        f"{arguments.rounds} rounds of {arguments.alone} and {arguments.together} texts; "
        f"{describe_machine()}; {now}\n"
    )
    print("| | alone: p50, p95, p99 (ms) | at once: p50, p95, p99 (ms) | texts/s | bert_tf gives |")
    print("|---|---|---|---|---|")
    ours = statistics.median(servers[OURS].rates)
    for name, server in servers.items():
        rate = statistics.median(server.rates)
        print(
            f"| {name} | {_percentiles(server.alone)} | {_percentiles(server.together)} "
            f"| {rate:.1f} | {ours / rate:.2f} times |"
        )


def _percentiles(seconds: list[float]) -> str:
    return ", ".join(f"{value * 1e3:.1f}" for value in np.percentile(seconds, [50, 95, 99]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", choices=("minilm", "base"), default="minilm")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, default=40, help="texts of one client a round")
    parser.add_argument("--together", type=int, default=320, help="texts of all clients a round")
    parser.add_argument("--bfloat16", action="store_true", help="our bfloat16 export, too")
    parser.add_argument("--models", type=Path, help="a folder that keeps the models for next time")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
