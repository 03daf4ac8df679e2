"""A model on PyTorch, ONNX Runtime or OpenVINO behind TensorFlow Serving's predict path.

    python -m benchmarks.serving_peers --runtime onnx-int8 --model DIR --port 0 [--at-once 2]

In: a Hugging Face folder with a classifier; for ONNX Runtime and OpenVINO also `model.onnx`,
`model.int8.onnx` and `model.int8.xml` in it. Out: a REST server that prints its port. Texts are
tokenized by the folder's own fast tokenizer and padded to the longest of a batch. Requests that
wait together run together, as in the local server: the model takes what is there as soon as it is
free. `--at-once` says how many batches run at a time; the cores are shared out between them.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serving.server.listening import listen

MAX_BATCH_SIZE = 32
ONNX_FILE = "model.onnx"
ONNX_INT8_FILE = "model.int8.onnx"
OPENVINO_INT8_FILE = "model.int8.xml"
Answer = Callable[[Sequence[str]], np.ndarray]
"""Texts to probabilities (texts, classes)."""
Make = Callable[[Path, int, int], Answer]
"""Of a folder, the longest text in tokens, and the batches at a time."""


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runtime", choices=sorted(RUNTIMES), required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--at-once", type=int, default=1)
    arguments = parser.parse_args()
    answer = RUNTIMES[arguments.runtime](arguments.model, arguments.max_length, arguments.at_once)
    answer(["warm", "up"])
    listener = listen("127.0.0.1", arguments.port)
    config = uvicorn.Config(
        make_app(answer, at_once=arguments.at_once), log_level="warning", access_log=False
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def torch_answer(precision: str) -> Make:
    """Hugging Face's classifier on PyTorch."""

    def make(folder: Path, max_length: int, at_once: int) -> Answer:
        import torch
        from transformers import AutoModelForSequenceClassification

        torch.set_num_threads(_num_threads(at_once))
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=getattr(torch, precision)
        ).eval()
        encode = encoder(folder, max_length, tensors="pt")

        def answer(texts: Sequence[str]) -> np.ndarray:
            with torch.inference_mode():
                logits = model(**encode(texts)).logits
            probabilities: np.ndarray = torch.softmax(logits.float(), dim=-1).numpy()
            return probabilities

        return answer

    return make


def onnx_answer(file_name: str) -> Make:
    """The same weights on ONNX Runtime, with its own optimisations of the graph."""

    def make(folder: Path, max_length: int, at_once: int) -> Answer:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _num_threads(at_once)
        session = onnxruntime.InferenceSession(
            str(folder / file_name), options, providers=["CPUExecutionProvider"]
        )
        encode = encoder(folder, max_length, tensors="np")
        return lambda texts: _softmax(session.run(None, dict(encode(texts)))[0])

    return make


def openvino_answer(file_name: str, precision: str) -> Make:
    """The same weights on OpenVINO, a stream for each batch that runs at a time."""

    def make(folder: Path, max_length: int, at_once: int) -> Answer:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": _num_threads(1),
            "NUM_STREAMS": at_once,
        }
        model = openvino.Core().compile_model(str(folder / file_name), "CPU", settings)
        encode = encoder(folder, max_length, tensors="np")

        def answer(texts: Sequence[str]) -> np.ndarray:
            return _softmax(model.create_infer_request().infer(dict(encode(texts)))[0])

        return answer

    return make


def _num_threads(at_once: int) -> int:
    """Of one batch."""
    return max(1, (os.cpu_count() or 1) // at_once)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: np.ndarray = exponents / exponents.sum(axis=-1, keepdims=True)
    return probabilities


RUNTIMES: dict[str, Make] = {
    "torch-float32": torch_answer("float32"),
    "torch-bfloat16": torch_answer("bfloat16"),
    "onnx-float32": onnx_answer(ONNX_FILE),
    "onnx-int8": onnx_answer(ONNX_INT8_FILE),
    "openvino-float32": openvino_answer(ONNX_FILE, "f32"),
    "openvino-bfloat16": openvino_answer(ONNX_FILE, "bf16"),
    "openvino-int8": openvino_answer(OPENVINO_INT8_FILE, "f32"),
}


def encoder(folder: Path, max_length: int, *, tensors: str) -> Callable[[Sequence[str]], Any]:
    """What tokenizes texts for a model, padded to the longest of them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return lambda texts: tokenizer(
        list(texts), truncation=True, max_length=max_length, padding=True, return_tensors=tensors
    )


def make_app(answer: Answer, *, at_once: int) -> Starlette:
    """`POST /v1/models/NAME:predict` with `{"instances": [{"text": …}]}`."""
    waiting: asyncio.Queue[tuple[list[str], asyncio.Future]] = asyncio.Queue()

    async def predict(request: Request) -> JSONResponse:
        body = await request.json()
        future = asyncio.get_running_loop().create_future()
        await waiting.put(([row["text"] for row in body["instances"]], future))
        rows = await future
        return JSONResponse({"predictions": [{"probabilities": row} for row in rows.tolist()]})

    async def run_batches() -> None:
        while True:
            batch = [await waiting.get()]
            while not waiting.empty() and sum(len(t) for t, _ in batch) < MAX_BATCH_SIZE:
                batch.append(waiting.get_nowait())
            texts = [text for texts, _ in batch for text in texts]
            answers = iter(await asyncio.to_thread(answer, texts))
            for own, future in batch:
                future.set_result(np.stack([next(answers) for _ in own]))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(run_batches()) for _ in range(at_once)]
        yield
        for task in tasks:
            task.cancel()

    route = Route("/v1/models/{name}:predict", predict, methods=["POST"])
    return Starlette(routes=[route], lifespan=lifespan)


if __name__ == "__main__":
    main()
