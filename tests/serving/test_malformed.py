"""Ten thousand malformed requests over both surfaces, in a process whose memory is limited.

MALFORMED_REQUESTS changes how many.
"""

import http.client
import json
import os
import random
import resource

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2

from serving.client import RestClient
from tests.serving.server_process import serve

NUM_REQUESTS = int(os.environ.get("MALFORMED_REQUESTS", "10000"))
ADDRESS_SPACE = 12 << 30  # TensorFlow reserves some gigabytes that it does not use.
MAX_GROWTH = 500 << 20
SIGNATURES = ("serving_default", "types", "classify", "regress", "count_slowly", "pair", "")
SERVICE = "/tensorflow.serving.PredictionService/"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def limited(publish, tmp_path_factory):
    """A server in a process of limited memory."""
    base = tmp_path_factory.mktemp("malformed") / "demo"
    publish(base, 1, "one")
    limits = (ADDRESS_SPACE, ADDRESS_SPACE)
    with serve(
        base,
        "--rest_api_timeout_in_ms=3000",
        before_start=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),
    ) as server:
        yield server


def damage(body: bytes, chance: random.Random) -> bytes:
    """Cut, flipped, repeated, or with something foreign in it."""
    at = chance.randrange(len(body) + 1)
    end = min(len(body), at + chance.randrange(1, 12))
    foreign = chance.choice(
        [b"\x00", b"\xff", b"[" * 200, b'{"b64":', b"1e400", b"-9223372036854775809", b'"', b"\\u",
         b"NaN", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", bytes(chance.randbytes(8))]
    )  # fmt: skip
    return chance.choice(
        [
            body[:at],
            body[:at] + body[end:],
            body[:at] + foreign + body[end:],
            body[:at] + body[at:end] * 50 + body[end:],
            body[:at]
            + bytes(byte ^ 1 << chance.randrange(8) for byte in body[at:end])
            + body[end:],
        ]
    )


def rest_body(chance: random.Random) -> bytes:
    value = chance.choice(["글", 1, 1.5, None, [], {"b64": "AP8="}, True, [["a"]], {"text": "a"}])
    form = chance.choice(["instances", "inputs", "examples", "context", "instance"])
    document = {form: [value] * chance.randrange(4), "signature_name": chance.choice(SIGNATURES)}
    return json.dumps(document).encode()


def grpc_message(chance: random.Random) -> tuple[str, bytes]:
    method = chance.choice(["Predict", "Classify", "Regress", "MultiInference"])
    if method == "Predict":
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "demo"
        request.model_spec.signature_name = chance.choice(SIGNATURES)
        name, array = chance.choice(
            [
                ("text", np.array([b"a", b"b"])),
                ("x", np.float32([1, 2])),
                ("int32", np.int32([[1]])),
            ]
        )
        proto = tf.make_tensor_proto(array)
        if chance.random() < 0.5:
            proto.tensor_shape.dim[0].size = chance.choice([-1, 0, 3, 2**20, 2**31, 2**62])
        if chance.random() < 0.3:
            proto.dtype = chance.randrange(0, 130)
        request.inputs[name].CopyFrom(proto)
        return method, request.SerializeToString()
    if method == "MultiInference":
        request = inference_pb2.MultiInferenceRequest()
        for signature in chance.choices(SIGNATURES, k=2):
            task = request.tasks.add(method_name="tensorflow/serving/classify")
            task.model_spec.name, task.model_spec.signature_name = "demo", signature
    else:
        request = classification_pb2.ClassificationRequest()  # a RegressionRequest has its fields
        request.model_spec.name = "demo"
        request.model_spec.signature_name = chance.choice(SIGNATURES)
    example = request.input.example_list.examples.add()
    example.features.feature["text"].bytes_list.value.append(b"a")
    return method, request.SerializeToString()


def test_nothing_that_is_sent_is_the_servers_fault(limited):
    process = psutil.Process(limited.process.pid)
    chance = random.Random(17)
    before = process.memory_info().rss
    statuses: dict[str, int] = {}
    with grpc.insecure_channel(limited.grpc_address) as channel:
        for number in range(NUM_REQUESTS):
            answer = ask_rest(limited.rest_url, chance) if number % 2 else ask_grpc(channel, chance)
            statuses[answer] = statuses.get(answer, 0) + 1
    assert not {"500", "INTERNAL", "UNKNOWN", "UNAVAILABLE"} & set(statuses), statuses
    assert statuses["200"] > 10, "some are whole"
    assert process.is_running()
    assert process.memory_info().rss - before < MAX_GROWTH
    with RestClient(limited.rest_url, model_name="demo") as client:
        assert client.predict_texts(["한글"])[0]["score"] == 0.2


def ask_rest(url: str, chance: random.Random) -> str:
    verb = chance.choice(["predict", "classify", "regress", "PREDICT"])
    headers = {"Content-Encoding": "gzip"} if chance.random() < 0.05 else {}
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        body = rest_body(chance)
        if chance.random() < 0.8:
            body = damage(body, chance)
        connection.request("POST", f"/v1/models/demo:{verb}", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200 or b"error" in text or not text, text
        return str(answer.status)
    finally:
        connection.close()


def ask_grpc(channel: grpc.Channel, chance: random.Random) -> str:
    method, message = grpc_message(chance)
    if chance.random() < 0.7:
        message = damage(message, chance)
    try:
        channel.unary_unary(SERVICE + method)(message, timeout=5)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"
