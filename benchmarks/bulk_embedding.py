"""How many texts a second does `bert-tf embed` encode, beside sentence-transformers?

    python -m benchmarks.bulk_embedding --data DATA/en --checkpoint all-MiniLM-L6-v2
        [--texts 2000 --rounds 3]

The same checkpoint and texts: half sentences of SST-2, half paragraphs of WikiText, cut at 128
tokens. Ours is an export, asked by `embed_table`, with reading and writing; theirs
`SentenceTransformer.encode`, in float32 and bfloat16, in batches of 32, sorted by length as it does
by itself, without either. Vectors are compared first. All in turn, in one process, medians.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow.parquet

from benchmarks.machine import describe_machine
from benchmarks.serving_processes import read_texts
from bert_tf.config import validate_config
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.exporting.embed_table import embed_table
from bert_tf.exporting.saved_model import export_model

MAX_TOKENS = 128


def main() -> None:
    """Compare, time in turn and print a Markdown table."""
    arguments = _parse()
    texts = read_texts(arguments.data, seed=0)[: arguments.texts]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _encoders(arguments, texts, folder)
        first = next(iter(rows))
        wanted = rows[first]()
        print(f"{'':24} largest difference")
        for name_of_row, encode in rows.items():
            print(f"{name_of_row:24} {np.abs(encode() - wanted).max():.2g}")
        seconds: dict[str, list[float]] = {name: [] for name in rows}
        for name_of_row, encode in list(rows.items()) * arguments.rounds:
            started_at = time.perf_counter()
            encode()
            seconds[name_of_row].append(time.perf_counter() - started_at)
    rates = {name: len(texts) / statistics.median(it) for name, it in seconds.items()}
    best = max(rate for name, rate in rates.items() if "bert_tf" not in name)
    print(
        f"\n{len(texts)} texts, median of {arguments.rounds}; {describe_machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}\n"
    )
    print("| | texts/s | by the peer's best |\n|---|---|---|")
    for name_of_row, rate in rates.items():
        print(f"| {name_of_row} | {rate:.1f} | {rate / best:.2f} |")


def _encoders(
    arguments: argparse.Namespace, texts: list[str], folder: Path
) -> dict[str, Callable[[], np.ndarray]]:
    import torch
    from sentence_transformers import SentenceTransformer

    convert_checkpoint(arguments.checkpoint, folder / "model")
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")

    def ours(precision: str) -> Callable[[], np.ndarray]:
        settings = {"model": str(folder / "model"), "max_seq_length": MAX_TOKENS}
        tree = {"export": settings | {"precision": precision}, "tracking": {"enabled": False}}
        export_model(validate_config(tree), folder / precision)

        def encode() -> np.ndarray:
            out = folder / "out.parquet"
            embed_table(folder / precision, str(source), out, text_field="text")
            column = pyarrow.parquet.read_table(out)["embedding"].combine_chunks()
            return column.flatten().to_numpy().reshape(len(texts), -1)

        return encode

    def theirs(dtype: torch.dtype) -> Callable[[], np.ndarray]:
        model = SentenceTransformer(
            str(arguments.checkpoint), device="cpu", model_kwargs={"dtype": dtype}
        )
        model.max_seq_length = MAX_TOKENS

        def encode() -> np.ndarray:
            found = model.encode(texts, batch_size=32, convert_to_tensor=True)
            return found.float().numpy()

        return encode

    return {
        "bert_tf, float32": ours("float32"),
        "bert_tf, bfloat16": ours("bfloat16"),
        "sentence-transformers, float32": theirs(torch.float32),
        "sentence-transformers, bfloat16": theirs(torch.bfloat16),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help="its folder")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
