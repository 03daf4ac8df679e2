"""What do REST and gRPC add to a model's own time?

    python -m benchmarks.serving_overhead --data ../shared/data/en [--saved-model DIR/1]

Single texts, each asked of a SavedModel in this process, over REST and over gRPC, in turn; the
local server does not batch. By default the model answers at once, so that what is measured is the
server, the client and loopback. With a real one the two processes also take turns with the
processor's caches.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.machine import describe_machine
from benchmarks.serving_processes import MODEL, Server, read_texts, serve_saved_model
from serving.client import GrpcClient

NUM_UNTIMED = 5


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--saved-model", type=Path, help="BASE/VERSION")
    parser.add_argument("--texts", type=int, default=400)
    arguments = parser.parse_args()
    texts = read_texts(arguments.data, seed=0)[: arguments.texts]
    print(f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}; {len(texts)} texts")
    with tempfile.TemporaryDirectory(prefix="bert_tf-serving-") as scratch:
        measure_overhead(arguments.saved_model or make_idle_model(Path(scratch)), texts)


def make_idle_model(base: Path) -> Path:
    """A SavedModel of version 1 that answers like a classifier, at once."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def answer(text: tf.Tensor) -> dict[str, tf.Tensor]:
        shares = tf.fill([tf.size(text), 2], 0.5)
        return {"label": text, "score": shares[:, 0], "probabilities": shares}

    module = tf.Module()
    module.answer = answer
    tf.saved_model.save(module, str(base / "1"), signatures=answer)
    return base / "1"


def measure_overhead(saved_model: Path, texts: list[str]) -> None:
    """What REST and gRPC add at p50 to the same call in this process."""
    with serve_saved_model(saved_model.parent, batching=False) as server:
        _print_overhead(server, saved_model, texts)


def _print_overhead(server: Server, saved_model: Path, texts: list[str]) -> None:
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    grpc = GrpcClient(server.grpc_address, model_name=MODEL)
    with server.client() as rest, grpc:
        calls = {
            "in the process": lambda text: signature(text=tf.constant([text]))["score"].numpy(),
            "REST": lambda text: rest.predict(instances=[{"text": text}]),
            "gRPC": lambda text: grpc.predict(instances=[{"text": text}]),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for text in [*texts[:NUM_UNTIMED], *texts]:
            for name, call in calls.items():
                seconds[name].append(seconds_of(lambda call=call, text=text: call(text)))
    model = statistics.median(seconds["in the process"][NUM_UNTIMED:])
    print("\n| one text | p50 (ms) | over the model's own time (ms) |\n|---|---|---|")
    for name, values in seconds.items():
        median = statistics.median(values[NUM_UNTIMED:])
        print(f"| {name} | {median * 1e3:.2f} | {(median - model) * 1e3:.2f} |")


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
