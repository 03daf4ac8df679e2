"""Answers the warm-up requests of a version before it takes others.

In: `assets.extra/tf_serving_warmup_requests`, a TFRecord of `PredictionLog`s. As in TensorFlow
Serving there may be 1,000 at most, and a version that fails one of them does not load.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving import errors
from serving.server import inference
from serving.server.servable import Servable

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_REQUESTS = 1000


def warm_up(servable: Servable, *, num_rounds: int = 1) -> int:
    """Answers the requests, each `num_rounds` times; returns how many there are, 0 without a file.

    Raises `ServingError` when one cannot be read or answered.
    """
    path = servable.directory / WARMUP_FILE
    if not path.is_file():
        return 0
    number = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(path)):
            number += 1
            if number > MAX_REQUESTS:
                raise errors.InvalidArgumentError(
                    f"Number of warmup records exceeds the maximum ({MAX_REQUESTS})"
                )
            log = _parse(record)
            for _ in range(num_rounds):
                _replay(servable, log)
    except errors.ServingError as error:
        raise errors.error_for_code(
            error.code, f"warm-up request {number} failed: {error.message}"
        ) from error
    except tf.errors.OpError as error:
        raise errors.DataLossError(
            f"{path}: {error}. Please verify your warmup data is in TFRecord format."
        ) from error
    return number


def _parse(record: bytes) -> prediction_log_pb2.PredictionLog:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise errors.InvalidArgumentError(
            f"Failed to parse warmup record: {record[:100]!r}. Each must be a PredictionLog."
        ) from error


def _replay(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        inference.predict(servable, log.predict_log.request)
    elif kind in ("classify_log", "regress_log"):
        request = getattr(log, kind).request
        method = inference.CLASSIFY if kind == "classify_log" else inference.REGRESS
        signature_name = request.model_spec.signature_name
        inference.infer(method, servable, request.input, signature_name=signature_name)
    elif kind == "multi_inference_log":
        inference.infer_all(servable, log.multi_inference_log.request)
    elif kind is not None:  # as in TensorFlow Serving an empty record asks nothing
        raise errors.UnimplementedError(f"Unsupported log_type for warmup: {kind}")
