"""The local server answers over REST as TensorFlow Serving 2.20.0 does: the tables, row by row."""

import base64
import dataclasses
import json

import pytest
from google.protobuf import text_format
from tensorflow.core.example import example_pb2

from tests.serving.stock import (
    deviations,
    http_model_cases,
    http_path_cases,
    http_request_cases,
    json_answer_cases,
    json_example_cases,
    json_example_error_cases,
    json_number_cases,
    json_parse_cases,
    json_predict_cases,
    json_predict_error_cases,
    json_result_cases,
    json_row_error_cases,
    json_text_cases,
)
from tests.serving.stock.asking import Reply, ask
from tests.serving.stock.case import RestCase

TABLES = (
    json_parse_cases,
    json_number_cases,
    json_text_cases,
    json_predict_cases,
    json_row_error_cases,
    json_predict_error_cases,
    json_answer_cases,
    json_example_cases,
    json_example_error_cases,
    json_result_cases,
    http_path_cases,
    http_model_cases,
    http_request_cases,
)
CASES = [
    dataclasses.replace(case, ours=case.ours or deviations.REST.get(case.id))
    for table in TABLES
    for case in table.CASES
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id.encode("unicode_escape").decode())
def test_rest_answer_is_that_of_the_table(stock_server, cors_server, case: RestCase):
    url = (cors_server if case.has_cors else stock_server).rest_url
    reply = ask(url, case.method, case.path, body=case.body, headers=case.headers)
    expected = case.expected
    assert reply.status == expected.status, reply.body[:400]
    if expected.json is not None:
        assert read_tokens(reply.body) == read_tokens(expected.json.encode())
    if expected.error is not None:
        error = json.loads(reply.body)["error"]
        assert expected.error in error
    if expected.holds is not None:
        assert expected.holds in reply.body.translate(None, b" \n")
    if expected.examples is not None:
        assert read_examples(reply) == [read_example(text) for text in expected.examples]
    for name, value in expected.headers.items():
        assert reply.headers.get(name.lower()) == value


def read_tokens(body: bytes) -> object:
    """A JSON document whose numbers are the text that stands for them, of their kind."""
    return json.loads(
        body,
        parse_int=lambda text: ("int", text),
        parse_float=lambda text: ("float", text),
        parse_constant=lambda text: ("float", text),
    )


def read_examples(reply: Reply) -> list[str]:
    """The examples that the model `examples` shows; map fields in the order of their keys."""
    found = []
    for ((label, _),) in json.loads(reply.body)["results"]:
        serialized = base64.urlsafe_b64decode(label)
        found.append(str(example_pb2.Example.FromString(serialized)))
    return found


def read_example(text: str) -> str:
    return str(text_format.Parse(text, example_pb2.Example()))
