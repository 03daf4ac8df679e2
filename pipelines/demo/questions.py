"""Asks a served classifier about unseen texts over REST and gRPC, and writes down the answers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_tf.system.files import write_whole
from pipelines.steps.local_server import serve
from serving.client import GrpcClient, RestClient

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
    from bert_tf.data.tables.reading import read_table
    from bert_tf.data.tables.values import labels_of, texts_of
    from bert_tf.exporting.predict import predict_texts

    table = read_table(eval_path, key="eval_path")
    texts = texts_of(table, "text", key="eval_path")
    labels = labels_of(table, "label", key="eval_path")
    with serve(model_dir, log_dir=output_path.parent) as (rest_url, grpc_address):
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


def _ask_in_batches(client: RestClient | GrpcClient, texts: Sequence[str]) -> list[Any]:
    return [
        answer
        for start in range(0, len(texts), TEXTS_PER_REQUEST)
        for answer in client.predict_texts(texts[start : start + TEXTS_PER_REQUEST])
    ]


def _num_right(answers: Sequence[dict[str, Any]], labels: Sequence[str]) -> int:
    return sum(row["label"] == label for row, label in zip(answers, labels, strict=True))
