"""Requests that come together are answered together, within bounds."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving import errors
from serving.client.rest_client import RestClient
from serving.local_server import LocalServer
from serving.server.batching import BatchingSettings
from serving.server.config_messages import BatchingParameters
from serving.server.model_config import LoadSettings, ModelSettings
from serving.server.servable import Servable

WAIT_MICROS = 500_000


def rows(*texts):
    return {"text": np.array([text.encode() for text in texts], object)}


def together(servable, requests, **options):
    """Every request from a thread of its own, all at once; answers or errors, in order."""
    barrier = threading.Barrier(len(requests))

    def ask(request):
        barrier.wait()
        try:
            return servable.predict(request, **options)
        except errors.ServingError as error:
            return error

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


@pytest.fixture(scope="module")
def servable(saved_models):
    settings = BatchingSettings(
        max_batch_size=8,
        batch_timeout_micros=WAIT_MICROS,
        num_batch_threads=1,
        max_enqueued_batches=2,
        allowed_batch_sizes=(4, 8),
    )
    loaded = Servable(saved_models["one"], LoadSettings(batching=settings))
    yield loaded
    loaded.close()


def test_each_request_gets_its_own_rows_of_a_common_batch(servable):
    requests = [rows("a", "bb"), rows("ccc"), rows("dddd", "e", "ff")]
    answers = together(servable, requests)
    for request, answer in zip(requests, answers, strict=True):
        expected = [0.1 * len(text) for text in request["text"]]
        np.testing.assert_allclose(answer["score"], expected, rtol=1e-6)
    counts = together(servable, requests, signature_name="count_rows")
    sizes = {int(size) for answer in counts for size in answer["num_rows"]}
    assert sizes <= {4, 8}, "filled up to an allowed size"
    assert 8 in sizes, "six rows that came together are one batch"


def test_a_request_larger_than_a_batch_is_refused(servable):
    with pytest.raises(errors.InvalidArgumentError, match="9"):
        servable.predict(rows(*"abcdefghi"))


def test_signatures_of_rows_of_several_values_are_left_alone(servable):
    types = {
        "float32": np.array([1], np.float32),
        "float64": np.array([1.0]),
        "int32": np.array([[1, 2, 3]], np.int32),
        "int64": np.array([1]),
        "uint8": np.array([1], np.uint8),
        "boolean": np.array([True]),
    }
    assert servable.predict(types, signature_name="types")["int32_out"].tolist() == [[1, 2, 3]]


def test_a_full_queue_refuses_at_once(saved_models, tmp_path, publish):
    publish(tmp_path / "demo", 1, "one")
    batching = BatchingSettings(
        max_batch_size=1, batch_timeout_micros=0, num_batch_threads=1, max_enqueued_batches=1
    )
    with (
        LocalServer(
            [ModelSettings("demo", tmp_path / "demo")],
            rest_api_port=0,
            loading=LoadSettings(batching=batching),
        ) as server,
        RestClient(server.rest_url, model_name="demo", num_retries=0) as client,
    ):

        def ask(number):
            try:
                client.predict(inputs={"num_steps": [300_000]}, signature_name="count_slowly")
            except errors.UnavailableError:
                return "refused"
            return "answered"

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask, range(8)))
    assert "answered" in found
    assert "refused" in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "must rise and end with"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 8 allowed_batch_sizes: 4", "must rise"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be 1 or more. Received: 0"),
    ],
)
def test_wrong_parameters_are_refused(text, message):
    from google.protobuf import text_format

    with pytest.raises(ValueError, match=message):
        BatchingSettings.from_message(text_format.Parse(text, BatchingParameters()))
