"""Classify and Regress over REST: examples in, results and errors out, by TF Serving's rules."""

import base64
import json
import urllib.error
import urllib.request

import pytest


def ask(server, verb, document):
    """Status and JSON of an answer."""
    url = f"{server.rest_url}/v1/models/demo:{verb}"
    try:
        with urllib.request.urlopen(url, json.dumps(document).encode()) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_classes_and_scores(server):
    document = {"signature_name": "classify", "examples": [{"text": "한글"}, {"text": ["abc"]}]}
    assert ask(server, "classify", document) == (
        200,
        {"results": [[["two", 0.2], ["other", 0.8]], [["two", 0.3], ["other", 0.7]]]},
    )


def test_a_context_is_part_of_every_example(server):
    document = {
        "signature_name": "regress",
        "context": {"text": "abcd", "number": 3, "flag": True, "part": [0.5, 1.5]},
        "examples": [{}, {"text": {"b64": base64.b64encode(b"ab").decode()}}],
    }
    assert ask(server, "regress", document) == (200, {"results": [0.4, 0.2]})


@pytest.mark.parametrize(
    ("verb", "document", "message"),
    [
        ("classify", {"examples": "text"}, "Expecting 'examples' value to be an list/array"),
        ("classify", {"examples": []}, "'examples' value is an empty array"),
        ("classify", {"examples": [3]}, "Example must be JSON object but got JSON Number"),
        ("regress", {"examples": [{"text": None}]}, "Feature: text has element with unexpected"),
        ("regress", {"examples": [{"text": [["a"]]}]}, "unexpected JSON type: Array"),
        ("regress", {"examples": [{"text": ["a", 1]}]}, "in feature: text expecting type: bytes"),
        ("regress", {"examples": [{"n": 2**63}]}, "Feature: n has uint64_t element"),
        ("regress", {"examples": [{"text": {"b64": "?"}}]}, "Unable to base64 decode"),
        ("regress", {"examples": [{"text": "a"}]}, "Expected one output Tensor."),
        (
            "classify",
            {"signature_name": "echo", "examples": [{"text": "a"}]},
            "No classification inputs found in SignatureDef",
        ),
        (
            "classify",
            {"signature_name": "regress", "examples": [{"text": "a"}]},
            'contain at least one of "classes" or "scores"',
        ),
        (
            "classify",
            {"signature_name": "other", "examples": [{"text": "a"}]},
            "No signature was found with the name: other",
        ),
        ("regress", {"signature_name": "regress", "examples": [{"other": "a"}]}, "text"),
    ],
)
def test_what_is_wrong_is_named(server, verb, document, message):
    status, answer = ask(server, verb, document)
    assert status == 400
    assert message in answer["error"]
