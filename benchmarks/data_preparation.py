"""How fast and how large is data preparation, and how does Google's algorithm compare?

    python -m benchmarks.data_preparation --text FILE [--boundary line] [--repeat 1]

Every figure is of a fresh process. Ours is `prepare_records` end to end (reading, sentences,
tokens, pairs, records with checksums), imports apart; `CPU` is the processor's own time, which
other work on the machine hardly lengthens. The peer is tf-models-official's
`create_pretraining_data` in its published form, which repeats a text ten times with other masks,
and without the repetition, on the first megabytes of the same text with the same vocabulary and
sentences, on one core. Memory is the peak resident size above what the imports take.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.machine import describe_machine, peak_bytes

MAX_SEQ_LENGTH = 128
VOCABULARY_SIZE = 8000
MEGABYTE = 1_000_000
PUBLISHED_DUPLICATION = 10
"""The default of the peer's `dupe_factor`."""


def main() -> None:
    """Measure in turn and print Markdown."""
    arguments = _parse()
    if arguments.measure:
        options = json.loads(arguments.measure)
        print(json.dumps(MEASURES[options.pop("what")](**options)))
        return
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        text, ten, part = (folder / f"{name}.txt" for name in ("text", "ten", "part"))
        content = Path(arguments.text).read_bytes() * arguments.repeat
        text.write_bytes(content)
        with ten.open("wb") as stream:
            for _ in range(10):
                stream.write(content)
        part.write_bytes(content[: content.index(b"\n", arguments.peer_megabytes * MEGABYTE) + 1])
        learned = {"text": str(text), "boundary": arguments.boundary, "output": f"{folder}/vocab"}
        _measure(what="vocabulary", **learned)
        common = {"boundary": arguments.boundary, "vocabulary": f"{folder}/vocab"}
        rows = []
        for name, path, workers in (
            ("one core", text, 1),
            ("one core, ten times the text", ten, 1),
            ("two workers, ten times the text", ten, 2),
            ("one core, the peer's part", part, 1),
        ):
            output = f"{folder}/{path.stem}-{workers}"
            found = _measure(
                what="ours", text=str(path), output=output, num_workers=workers, **common
            )
            rows.append((f"bert_tf, {name}", path.stat().st_size, found))
        for name, times in (("once", 1), ("as published", PUBLISHED_DUPLICATION)):
            output = f"{folder}/peer-{times}"
            found = _measure(what="peer", text=str(part), output=output, times=times, **common)
            rows.append((f"tf-models-official, {name}", part.stat().st_size, found))
    _print(arguments, rows)


def learn(text: str, *, boundary: str, output: str) -> dict[str, float]:
    """A vocabulary for both."""
    from bert_tf.data.text.tokenizer import learn_tokenizer

    learn_tokenizer(_config(text, boundary=boundary), output)
    return {}


def prepare(
    text: str, *, boundary: str, vocabulary: str, output: str, num_workers: int
) -> dict[str, float]:
    """Ours, end to end."""
    import tensorflow as tf

    from bert_tf.data.preparation.prepare import prepare_records

    if num_workers == 1:
        os.sched_setaffinity(0, {0})
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.zeros(1).numpy()
    config = _config(text, boundary=boundary, vocabulary=vocabulary, num_workers=num_workers)
    return _timed(lambda: prepare_records(config, output))


def prepare_as_google(
    text: str, *, boundary: str, vocabulary: str, output: str, times: int
) -> dict[str, float]:
    """Google's algorithm, on the sentences that ours makes of the text."""
    import random

    import tensorflow as tf
    from official.nlp.data import create_pretraining_data as google
    from official.nlp.tools.tokenization import FullTokenizer

    from bert_tf.data.corpora import corpus
    from bert_tf.data.text.sentences import split_sentences

    os.sched_setaffinity(0, {0})
    sentences = Path(f"{output}.txt")
    with sentences.open("w", encoding="utf-8") as stream:
        for document in corpus.read_documents(_config(text, boundary=boundary).corpus):
            parts = split_sentences(tf.constant(document.paragraphs)).values.numpy()
            stream.write("\n".join(part.decode() for part in parts) + "\n\n")
    tokenizer = FullTokenizer(f"{vocabulary}/vocab.txt", do_lower_case=False)

    def run() -> None:
        instances = google.create_training_instances(
            [str(sentences)],
            tokenizer,
            google.get_processor_text_fn(False, False),
            max_seq_length=MAX_SEQ_LENGTH,
            dupe_factor=times,
            short_seq_prob=0.1,
            masked_lm_prob=0.15,
            max_predictions_per_seq=20,
            rng=random.Random(0),
        )
        google.write_instance_to_example_files(
            instances, tokenizer, MAX_SEQ_LENGTH, 20, [f"{output}.tfrecord"], False, False
        )

    return _timed(run)


MEASURES = {"vocabulary": learn, "ours": prepare, "peer": prepare_as_google}


def _config(text: str, *, boundary: str, vocabulary: str | None = None, num_workers: int = 1):  # type: ignore[no-untyped-def]
    from bert_tf.config import Config

    return Config.model_validate(
        {
            "corpus": {"paths": [text], "document_boundary": boundary},
            "vocabulary": {"size": VOCABULARY_SIZE},
            "tokenizer": {"vocabulary": vocabulary},
            "examples": {"max_seq_length": MAX_SEQ_LENGTH},
            "records": {"num_shards": 8, "num_workers": num_workers},
        }
    )


def _timed(run) -> dict[str, float]:  # type: ignore[no-untyped-def]
    process = psutil.Process()
    before = process.memory_info().rss
    started, cpu = time.perf_counter(), time.process_time()
    run()
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "megabytes": (peak_bytes() - before) / MEGABYTE,
    }


def _measure(**options: object) -> dict[str, float]:
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.data_preparation", "--measure", json.dumps(options)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def _print(arguments: argparse.Namespace, rows: list[tuple[str, int, dict[str, float]]]) -> None:
    print(
        f"{Path(arguments.text).name} x {arguments.repeat}, {describe_machine()}, "
        f"{datetime.now(UTC):%Y-%m-%d}\n\n"
        "| | text, MB | seconds | MB/s | CPU seconds | MB a CPU second | peak, MB |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name, size, found in rows:
        text = size / MEGABYTE
        is_here = "two" not in name  # the workers' own time and memory are not this process's
        cpu = f"{found['cpu']:.1f} | {text / found['cpu']:.2f}" if is_here else "– | –"
        peak = f"{found['megabytes']:.0f}" if is_here else "–"
        rate = text / found["seconds"]
        print(f"| {name} | {text:.1f} | {found['seconds']:.1f} | {rate:.2f} | {cpu} | {peak} |")
    ours, once, published = (found["cpu"] for _, _, found in rows[-3:])
    one, two = rows[1][2]["seconds"], rows[2][2]["seconds"]
    print(
        f"\nThe peer takes {published / ours:.1f} times our CPU time as published, "
        f"{once / ours:.1f} times once, on the same text. "
        f"Two workers are {one / two:.2f} times as fast as one."
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="")
    parser.add_argument("--boundary", default="blank_line")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peer-megabytes", type=int, default=2)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
