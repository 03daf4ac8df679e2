"""How fast and how large is data preparation, and how does Google's algorithm compare?

    python -m benchmarks.data_preparation --text FILE [--boundary line] [--repeat 1] [--rounds 3]

Every figure is of a fresh process, and of ours the median of the rounds. Ours is `prepare_records`
end to end (reading, sentences, tokens, pairs, records with checksums), imports apart; `CPU` is the
processor's own time, which other work on the machine hardly lengthens. Two workers import
TensorFlow within the time. The peer is tf-models-official's `create_pretraining_data` in its
published form, which repeats a text ten times with other masks, and without the repetition, on the
first megabytes of the same text with the same vocabulary and sentences, on one core. Memory is the
peak resident size above what the imports take.
"""

import argparse
import json
import os
import statistics
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
PEERS = (("once", 1), ("as published", PUBLISHED_DUPLICATION))
CASES = (
    "one core",
    "one core, {times} times the text",
    "two workers, {times} times the text",
    "one core, the peer's part",
)


def main() -> None:
    """Measure in turn and print Markdown."""
    arguments = _parse()
    if arguments.measure:
        options = json.loads(arguments.measure)
        print(json.dumps(MEASURES[options.pop("what")](**options)))
        return
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        text, large, part = (folder / f"{name}.txt" for name in ("text", "large", "part"))
        content = Path(arguments.text).read_bytes() * arguments.repeat
        text.write_bytes(content)
        with large.open("wb") as stream:
            for _ in range(arguments.times):
                stream.write(content)
        part.write_bytes(content[: content.index(b"\n", arguments.peer_megabytes * MEGABYTE) + 1])
        learned = {"text": str(text), "boundary": arguments.boundary, "output": f"{folder}/vocab"}
        _measure(what="vocabulary", **learned)
        common = {"boundary": arguments.boundary, "vocabulary": f"{folder}/vocab"}
        rounds = []
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=folder) as outputs:
                rounds.append(
                    [
                        _measure(
                            what="ours",
                            text=str(path),
                            output=f"{outputs}/{path.stem}-{workers}",
                            num_workers=workers,
                            **common,
                        )
                        for path, workers in ((text, 1), (large, 1), (large, 2), (part, 1))
                    ]
                )
        sizes = [path.stat().st_size for path in (text, large, large, part)]
        rows = [
            (f"bert_tf, {name.format(times=arguments.times)}", size, _median(list(found)))
            for name, size, found in zip(CASES, sizes, zip(*rounds, strict=True), strict=True)
        ]
        for name, times in PEERS if arguments.peers else ():
            output = f"{folder}/peer-{times}"
            found = _measure(what="peer", text=str(part), output=output, times=times, **common)
            rows.append((f"tf-models-official, {name}", part.stat().st_size, found))
    _print(arguments, rows)
    ratios = sorted(one["seconds"] / two["seconds"] for _, one, two, _ in rounds)
    print(
        f"Two workers are {statistics.median(ratios):.2f} times as fast as one "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})."
    )


def learn(text: str, *, boundary: str, output: str) -> dict[str, float]:
    """A vocabulary for both."""
    from bert_tf.data.text.learning import learn_tokenizer

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
    if not arguments.peers:
        return
    ours, once, published = (found["cpu"] for _, _, found in rows[-3:])
    print(
        f"\nThe peer takes {published / ours:.1f} times our CPU time as published, "
        f"{once / ours:.1f} times once, on the same text."
    )


def _median(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", default="")
    parser.add_argument("--boundary", default="blank_line")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peer-megabytes", type=int, default=2)
    parser.add_argument("--times", type=int, default=16, help="the text, for the large one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
