"""A command that asks a served model about texts.

    python -m serving.client --url http://127.0.0.1:8501 --model NAME [--grpc HOST:PORT] TEXT...

In: texts as arguments, or one a line on standard input; a tab separates a pair. Out: one JSON
object a line. Importing this imports no TensorFlow; only making a `GrpcClient` does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from serving.client.grpc_client import GrpcClient
from serving.client.model_client import PAIR_NAMES, ModelClient
from serving.client.rest_client import RestClient
from serving.errors import ServingError
from serving.formats.arguments import check_utf8

_DEFAULT_URL = "http://127.0.0.1:8501"
_LINES_PER_REQUEST = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a prediction for each text. Exit codes: 0 done, 1 failed, 2 wrong use."""
    parser = _build_parser()
    check_utf8(parser, sys.argv[1:] if arguments is None else arguments)
    values = parser.parse_args(arguments)
    lines: Iterable[str] = values.texts or _read_lines()
    try:
        with _make_client(values) as client:
            for batch in _split(lines, _LINES_PER_REQUEST):
                for answer in _predict_lines(client, batch, values):
                    print(json.dumps(answer, ensure_ascii=False), flush=True)
    except ServingError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.client", description="Asks a served model about texts."
    )
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="a text, or two with a tab between them, or with --choices a text and its choices; "
        "without any, lines of standard input",
    )
    parser.add_argument("--url", default=_DEFAULT_URL, help="REST address (default: %(default)s)")
    parser.add_argument(
        "--grpc", metavar="HOST:PORT", help="gRPC address; if given, gRPC is used and not REST"
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="name of the model")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--version", type=int, help="version to ask (default: the highest)")
    version.add_argument("--label", help="label of the version to ask")
    parser.add_argument(
        "--input_names",
        type=lambda names: names.split(","),
        default=PAIR_NAMES,
        metavar="FIRST,SECOND",
        help="what the signature calls a text and its second (default: text,text_pair)",
    )
    parser.add_argument(
        "--choices",
        action="store_true",
        help="what stands behind tabs are choices of the text, of a model of multiple_choice",
    )
    parser.add_argument("--signature_name", help="signature to call (default: serving_default)")
    parser.add_argument(
        "--timeout_seconds",
        type=float,
        default=30.0,
        help="time limit of a request (default: %(default)s)",
    )
    return parser


def _make_client(values: argparse.Namespace) -> ModelClient:
    options: dict[str, Any] = {
        "model_name": values.model,
        "version": values.version,
        "label": values.label,
        "timeout_seconds": values.timeout_seconds,
    }
    if values.grpc:
        # Keeps TensorFlow's notes about CPU features away from the answers.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        return GrpcClient(values.grpc, **options)
    return RestClient(values.url, **options)


def _read_lines() -> Iterator[str]:
    """Lines of standard input that are not empty."""
    for line in sys.stdin:
        text = line.rstrip("\r\n")
        if text:
            yield text


def _split(lines: Iterable[str], num_lines: int) -> Iterator[list[str]]:
    iterator = iter(lines)
    while batch := list(itertools.islice(iterator, num_lines)):
        yield batch


def _predict_lines(
    client: ModelClient, lines: Sequence[str], values: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """One object a line: its texts, then the model's outputs."""
    fields = [line.split("\t") for line in lines]
    if values.choices:
        fields = [[text, "\n".join(choices)] for text, *choices in fields]
    num_texts = len(fields[0])
    for line, texts in zip(lines, fields, strict=True):
        if len(texts) != num_texts or num_texts > 2:
            raise ValueError(
                "every line must hold one text, or every line two with a tab between them. "
                f"Received: {line!r}. Ask about texts and pairs separately."
            )
    names = ("text", "choices") if values.choices else values.input_names
    predictions = client.predict_texts(
        [texts[0] for texts in fields],
        text_pairs=[texts[1] for texts in fields] if num_texts == 2 else None,
        signature_name=values.signature_name,
        input_names=names,
    )
    for texts, prediction in zip(fields, predictions, strict=True):
        asked = dict(zip(names, texts, strict=False))
        outputs = prediction if isinstance(prediction, dict) else {"prediction": prediction}
        yield {**asked, **outputs}


if __name__ == "__main__":
    sys.exit(main())
