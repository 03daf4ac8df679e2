"""A program of its own: loads a SavedModel as TF Serving does and replays its warm-up requests.

    python -I replay.py SAVED_MODEL_DIR RESULT.npz [REQUESTS]

It bars itself from this package and from Keras, which TF Serving has no more than Python: of
tensorflow-text it takes the operations only. RESULT holds `N:OUTPUT` for request N, and `facts`,
JSON, with seconds. REQUESTS, a file as that of the warm-up, is replayed behind it; the numbers go
on, and what fails of it is in `facts`, too, a message by its number. A request that was answered
before is not asked again.
"""

import gc
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
BARRED = ("bert_tf", "serving", "keras", "tf_keras")


def main(saved_model_dir: str, result: str, requests: str | None = None) -> None:
    """Load, replay, write what came."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in BARRED:
        sys.modules[name] = None  # type: ignore[assignment]  # TensorFlow does without Keras then
    gc.disable()  # what is imported stays: to look through it while it grows is a third of the time
    import numpy as np
    import tensorflow as tf

    _load_text_operations()
    gc.freeze()
    gc.enable()
    started_at = time.perf_counter()
    session = tf.compat.v1.Session(graph=tf.Graph())
    signatures = tf.compat.v1.saved_model.load(
        session, [tf.saved_model.SERVING], saved_model_dir
    ).signature_def
    loaded_at = time.perf_counter()
    answers: dict[str, Any] = {}
    known: dict[bytes, dict[str, Any]] = {}
    number = 0
    for record in tf.compat.v1.io.tf_record_iterator(f"{saved_model_dir}/{WARMUP_FILE}"):
        known[record] = _answer(session, signatures, record)
        _keep(answers, number, known[record])
        number += 1
    warm_at = time.perf_counter()
    errors = {}
    for record in tf.compat.v1.io.tf_record_iterator(requests) if requests else ():
        try:
            if record not in known:
                known[record] = _answer(session, signatures, record)
            _keep(answers, number, known[record])
        except tf.errors.OpError as error:
            errors[number] = error.message
        number += 1
    facts = {
        "load_seconds": loaded_at - started_at,
        "warmup_seconds": warm_at - loaded_at,
        "requests_seconds": time.perf_counter() - warm_at,
        "errors": errors,
    }
    np.savez(result, facts=json.dumps(facts), **answers)


def _answer(session: Any, signatures: Any, record: bytes) -> dict[str, Any]:
    name, arguments = read_request(record)
    if name not in signatures:
        raise KeyError(f"there is no signature {name!r}")
    signature = signatures[name]
    feeds = {signature.inputs[key].name: value for key, value in arguments.items()}
    return session.run({key: info.name for key, info in signature.outputs.items()}, feeds)


def _keep(answers: dict[str, Any], number: int, outputs: dict[str, Any]) -> None:
    for key, value in outputs.items():
        answers[f"{number}:{key}"] = value.astype(bytes) if value.dtype == object else value


def _load_text_operations() -> None:
    """Those of tensorflow-text, which TF Serving links in as well, without its Python."""
    import tensorflow as tf

    spec = importlib.util.find_spec("tensorflow_text")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("tensorflow-text must be installed. Received: it is not.")
    for library in sorted(Path(spec.origin).parent.rglob("ops/_*.so")):
        tf.load_op_library(str(library))


def read_request(record: bytes) -> tuple[str, dict[str, Any]]:
    """The signature's name and its arguments, of a `PredictionLog`."""
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog.FromString(record)
    kind = log.WhichOneof("log_type")
    request = getattr(log, kind).request
    if kind == "predict_log":
        arguments = {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
    else:
        examples = request.input.example_list.examples
        arguments = {"inputs": np.array([e.SerializeToString() for e in examples], object)}
    return request.model_spec.signature_name, arguments


if __name__ == "__main__":
    main(*sys.argv[1:])
