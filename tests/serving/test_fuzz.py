"""Whatever is sent, the server answers with a client's error or an answer, and goes on."""

import http.client
import json
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXPECTED = {200, 400, 404, 405, 429, 501, 503, 504}
SIGNATURES = ["serving_default", "pair", "echo", "bytes", "types", "halve", "classify", "regress"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.fixed_dictionaries({"b64": st.text(max_size=8)})
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["text", "text_pair", "x", "b64", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)
documents = st.dictionaries(
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]),
    values | st.sampled_from(SIGNATURES),
    max_size=3,
)
verbs = st.sampled_from(["predict", "classify", "regress"])


@pytest.fixture(scope="module")
def ask(server):
    """A function that sends a request on a kept connection, and gives status and body."""
    host, port = urllib.parse.urlsplit(server.rest_url).netloc.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)

    def send(method, path, body=None):
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    yield send
    connection.close()


def check(answer):
    status, body = answer
    assert status in EXPECTED, body
    if status != 200 and body:  # there is none for OPTIONS
        assert json.loads(body)["error"]


FUZZED = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZED
@given(verb=verbs, document=documents)
def test_documents(ask, verb, document):
    check(ask("POST", f"/v1/models/demo:{verb}", json.dumps(document).encode()))


@FUZZED
@given(verb=verbs, body=st.binary(max_size=200))
def test_bytes(ask, verb, body):
    check(ask("POST", f"/v1/models/demo:{verb}", body))


@FUZZED
@given(verb=verbs, body=st.sampled_from(["[", "{", '"', '{"a":']), number=st.integers(1, 100_000))
def test_what_never_ends(ask, verb, body, number):
    check(ask("POST", f"/v1/models/demo:{verb}", body * number))


@FUZZED
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
    path=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=60),
)
def test_paths(ask, method, path):
    check(ask(method, f"/v1/models/{urllib.parse.quote(path, safe='/:?#&%')}", b"{}"))


def test_the_server_still_answers(ask):
    status, body = ask("POST", "/v1/models/demo:predict", b'{"instances": ["ab"]}')
    assert (status, json.loads(body)["predictions"][0]["score"]) == (200, 0.2)
