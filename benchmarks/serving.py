"""How fast is a served classifier, beside keras-nlp's, PyTorch, ONNX Runtime and OpenVINO?

    python -m benchmarks.serving --data ../shared/data/en [--size base] [--rounds 3]

Real texts, half sentences of SST-2, half paragraphs of WikiText, cut at `--max-length` tokens, in
random order. Every server is a process of its own on loopback, asked by the same client over
TensorFlow Serving's REST predict path, in turn, all in one run:

    bert_tf      `bert-tf export` in float32, bfloat16 and int8, the local server with
                 serving/production's settings
    keras-nlp    its BertTextClassifier and preprocessor as a SavedModel, in the same server
    PyTorch      Hugging Face's classifier, float32 and bfloat16, behind benchmarks.serving_peers
    ONNX Runtime the same weights, float32 and int8 (dynamic quantisation), behind the same
    OpenVINO     the same weights, float32, bfloat16 and int8 (NNCF), behind the same

int8 models are told the ranges of texts that are not asked. `--only` names the servers to run.

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
KERAS_NLP = "keras-nlp BertTextClassifier"
PEERS = {
    "Hugging Face, PyTorch float32": "torch-float32",
    "Hugging Face, PyTorch bfloat16": "torch-bfloat16",
    "ONNX Runtime float32": "onnx-float32",
    "ONNX Runtime int8": "onnx-int8",
    "OpenVINO float32": "openvino-float32",
    "OpenVINO bfloat16": "openvino-bfloat16",
    "OpenVINO int8": "openvino-int8",
}
TOLERANCES = {"bfloat16": 0.05, "keras": 0.05, "int8": 0.25}
"""Of probabilities, by what a server's name has; of the others 0.001."""
NUM_CALIBRATION_TEXTS = 128
NUM_CLASSIFIED = 32


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
            classify(servers, arguments.data)
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
        models.make_hugging_face(
            source, size=arguments.size, max_length=length, model=arguments.model
        )
    calibration = read_texts(arguments.data, seed=arguments.seed)[-NUM_CALIBRATION_TEXTS:]
    models.make_int8_peers(source, calibration, max_length=length)
    ours = {
        OURS if precision == "float32" else f"{OURS} {precision}": models.make_ours(
            source,
            folder / "bert_tf",
            precision=precision,
            max_length=length,
            texts=calibration,
        )
        for precision in ("float32", "bfloat16", "int8")
    }
    served = dict(ours)
    if KERAS_NLP in (arguments.only or [KERAS_NLP]):
        served[KERAS_NLP] = models.make_keras_nlp(
            folder / "bert_tf" / "model", folder / "keras_nlp", max_length=length
        )
    starts = {
        name: lambda base=base: serve_saved_model(
            base, num_batch_threads=arguments.num_batch_threads
        )
        for name, base in served.items()
    }
    starts |= {
        name: lambda runtime=runtime: serve_peer(source, runtime, max_length=length)
        for name, runtime in PEERS.items()
    }
    chosen = arguments.only or list(starts)
    return {name: starts[name] for name in starts if name in {OURS, *chosen}}, ours[OURS] / "1"


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
        if difference > max((it for key, it in TOLERANCES.items() if key in name), default=1e-3):
            raise SystemExit(f"{name} answers otherwise than {OURS}: {difference:.4f}.")


def classify(servers: dict[str, Server], data: Path) -> None:
    """Note what each server says of SST-2's held-out sentences, and which are right."""
    rows = (data / "sst2" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    texts, labels = zip(*(row.rsplit("\t", 1) for row in rows), strict=True)
    for server in servers.values():
        with server.client() as client:
            for start in range(0, len(texts), NUM_CLASSIFIED):
                instances = [{"text": text} for text in texts[start : start + NUM_CLASSIFIED]]
                for row in client.predict(instances=instances):
                    scores = row["probabilities"] if isinstance(row, dict) else row
                    server.classes.append(int(np.argmax(scores)))
        server.is_right = [
            str(found) == label for found, label in zip(server.classes, labels, strict=True)
        ]


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
    quality = "right" if arguments.model else "as bert_tf"
    print("| | alone: p50, p95, p99 (ms) | at once: p50, p95, p99 (ms) | texts/s ", end="")
    print(f"| by the best peer's | {quality}, of SST-2 |")
    print("|---|---|---|---|---|---|")
    peers = [server for name, server in servers.items() if OURS not in name]
    best = max((statistics.median(server.rates) for server in peers), default=float("nan"))
    for name, server in servers.items():
        rate = statistics.median(server.rates)
        same = np.equal(server.classes, servers[OURS].classes)
        share = np.mean(server.is_right if arguments.model else same)
        print(
            f"| {name} | {_percentiles(server.alone)} | {_percentiles(server.together)} "
            f"| {rate:.1f} | {rate / best:.2f} | {share:.2%} |"
        )


def _percentiles(seconds: list[float]) -> str:
    return ", ".join(f"{value * 1e3:.1f}" for value in np.percentile(seconds, [50, 95, 99]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", choices=("minilm", "base"), default="minilm")
    parser.add_argument("--model", type=Path, help="a classifier of SST-2 that bert-tf trained")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, default=40, help="texts of one client a round")
    parser.add_argument("--together", type=int, default=320, help="texts of all clients a round")
    parser.add_argument("--num-batch-threads", type=int, help="of the local server; else the cores")
    parser.add_argument("--only", nargs="+", help="names of servers beside bert_tf float32")
    parser.add_argument("--models", type=Path, help="a folder that keeps the models for next time")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
