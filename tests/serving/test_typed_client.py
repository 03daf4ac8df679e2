"""Typed answers, many texts at once, and asyncio; over both surfaces."""

import asyncio
import itertools
import threading
import time

import pytest

from serving import errors
from serving.client import AsyncClient, Classification, GrpcClient, MaskFilling, RestClient


@pytest.fixture(params=["rest", "grpc"])
def client(request, server):
    if request.param == "rest":
        made = RestClient(server.rest_url, model_name="demo")
    else:
        made = GrpcClient(server.grpc_address, model_name="demo")
    with made:
        yield made


def test_answers_have_types(client):
    (row,) = client.predict_texts(["ab"], signature_name="labelled")
    found = Classification.from_outputs(row)
    assert (found.label, found.score) == ("two", 0.2)
    assert found.probabilities == {"two": 0.2, "other": 0.8}
    assert client.fill_mask(["ab"]) == [[MaskFilling("ab", 0.2), MaskFilling("ab", 0.8)]]
    assert client.embed(["ab", "abc"]) == [[0.2, 0.8], [0.3, 0.7]]
    assert client.embed(["ab"], normalize=True) == [[0.2, 0.8]]


def test_a_row_of_fill_mask_without_an_answer_is_an_error():
    row = {"tokens": ["a", "b"], "scores": [0.6, 0.4], "status": "OK"}
    assert [filling.token for filling in MaskFilling.from_outputs(row)] == ["a", "b"]
    refused = {"tokens": ["", ""], "scores": [0.0, 0.0], "status": "fill_mask needs [MASK]"}
    with pytest.raises(errors.InvalidArgumentError, match=r"fill_mask needs \[MASK\]"):
        MaskFilling.from_outputs(refused)


def test_any_number_of_texts_comes_back_in_order(client):
    texts = [f"{number}" for number in range(103)]
    found = list(client.predict_many(texts, signature_name="echo", batch_size=10))
    assert found == texts
    pairs = [(text, "x") for text in texts[:5]]
    joined = list(client.predict_many(pairs, signature_name="pair", batch_size=2))
    assert joined == [f"{text}|x" for text in texts[:5]]
    assert list(client.predict_many([])) == []


def test_of_an_endless_stream_no_more_is_read_than_is_sent(client):
    read = itertools.count()
    stream = (str(number) for number in read)
    answers = client.predict_many(stream, signature_name="echo", batch_size=4, max_in_flight=2)
    assert [next(answers) for _ in range(3)] == ["0", "1", "2"]
    assert next(read) <= 4 * 3
    answers.close()


def test_an_error_ends_the_stream(client):
    with pytest.raises(errors.ServingError, match="nope"):
        list(client.predict_many(["a"], signature_name="nope"))
    with pytest.raises(ValueError, match="must be 1 or more"):
        list(client.predict_many(["a"], batch_size=0))


def test_calls_of_asyncio_run_beside_each_other(client):
    async def ask():
        async with AsyncClient(client, max_in_flight=4) as asked:
            answers = await asyncio.gather(
                *(asked.predict_texts([text], signature_name="echo") for text in "abcdefgh")
            )
            assert [answer for (answer,) in answers] == list("abcdefgh")
            assert await asked.predict(inputs=["a"], signature_name="echo") == ["a"]
            assert await asked.embed(["ab"]) == [[0.2, 0.8]]
            assert (await asked.fill_mask(["ab"]))[0][0].token == "ab"
            with pytest.raises(errors.ServingError, match="nope"):
                await asked.predict_texts(["a"], signature_name="nope")

    before = threading.active_count()
    asyncio.run(ask())
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)


def test_the_loop_goes_on_while_a_call_is_waited_for(client):
    async def ask():
        async with AsyncClient(client) as asked:
            slow = asyncio.create_task(
                asked.predict(inputs=[200_000], signature_name="count_slowly")
            )
            turns = 0
            while not slow.done():
                turns += 1
                await asyncio.sleep(0.001)
            assert (await slow) == [200_000]
            return turns

    assert asyncio.run(ask()) > 5
