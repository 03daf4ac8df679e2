"""Strings and bytes: escapes, invalid UTF-8, base64, and how they are written."""

import base64

from tests.serving.stock.case import predict

TEST = "util/json_tensor_test.cc JsontensorTest"
ADD = "util/json_tensor.cc AddValueToTensor"
PARSE = "util/json_tensor.cc ParseJson (RapidJSON's strings)"
BASE64 = "util/json_tensor.cc JsonDecodeBase64Object (absl::Base64Unescape)"
WRITE = "util/json_tensor.cc AddSingleValueAndAdvance"


def b64(content: bytes) -> str:
    return f'{{"b64": "{base64.b64encode(content).decode()}"}}'


def arrives(id: str, sent: str | bytes, content: bytes, source: str = PARSE):
    """The bytes that reach the model, shown as base64."""
    raw = sent.encode() if isinstance(sent, str) else sent
    return predict(
        "bytes",
        b'{"instances": [' + raw + b"]}",
        id=f"text arrives: {id}",
        json=f'{{"predictions": [{b64(content)}]}}',
        source=source,
    )


def decodes(text: str, content: bytes):
    return arrives(f"base64 {text!r}", f'{{"b64": "{text}"}}', content, BASE64)


def no_base64(text: str):
    return predict(
        "bytes",
        f'{{"instances": [{{"b64": "{text}"}}]}}',
        id=f"no base64: {text!r}",
        error="Unable to base64 decode",
        source=BASE64,
    )


CASES = [
    arrives("plain", '"abc"', b"abc"),
    arrives("empty", '""', b""),
    arrives("two bytes a character", '"\\u00e9"', "é".encode()),
    arrives("three bytes a character", '"\\u20ac\\uac00"', "€가".encode()),
    arrives("a surrogate pair", '"\\ud83d\\ude00"', "😀".encode()),
    arrives("capital hex digits", '"\\u00E9\\uD83D\\uDE00"', "é😀".encode()),
    arrives("UTF-8 as it is", '"é가😀"', "é가😀".encode()),
    arrives("every escape", r'"\/\b\f\n\r\t\"\\"', b'/\b\f\n\r\t"\\'),
    arrives("an escaped zero byte", '"a\\u0000b"', b"a\0b"),
    arrives("an escaped control character", '"\\u001f"', b"\x1f"),
    arrives("a delete character", '"a\x7fb"', b"a\x7fb"),
    arrives("the second half of a surrogate pair alone", '"\\ude00"', b"\xed\xb8\x80"),
    arrives("a byte that is no UTF-8", b'"\xff"', b"\xff"),
    arrives("UTF-8 cut short", b'"\xc3"', b"\xc3"),
    arrives("a surrogate in UTF-8", b'"\xed\xa0\x80"', b"\xed\xa0\x80"),
    arrives("too long a form of UTF-8", b'"\xc0\x80"', b"\xc0\x80"),
    arrives("U+FFFD", '"\\ufffd"', "\ufffd".encode()),
    arrives("a byte order mark inside", '"\\ufeffa"', "\ufeffa".encode()),
    arrives("100,000 bytes", '"' + "a" * 100_000 + '"', b"a" * 100_000),
    decodes("aGVsbG8=", b"hello"),
    decodes("aGVsbG8", b"hello"),
    decodes("aGVsbG8.", b"hello"),
    decodes("aA==", b"h"),
    decodes("aA", b"h"),
    decodes("aA..", b"h"),
    decodes("", b""),
    decodes(" aGVs bG8= ", b"hello"),
    decodes("aGVs\\nbG8=\\r\\n\\t", b"hello"),
    decodes("aA= =", b"h"),
    decodes("aB==", b"h"),
    decodes("AP8=", b"\0\xff"),
    decodes("+/+/", b"\xfb\xff\xbf"),
    no_base64("aGVsbG8=="),
    no_base64("aA="),
    no_base64("aGVs="),
    no_base64("a"),
    no_base64("aGVsb"),
    no_base64("-_-_"),
    no_base64("aGVsbG8=x"),
    no_base64("aG!s"),
    no_base64("aGVs\\u0000bG8="),
    no_base64("="),
    no_base64("é"),
    *(
        predict(
            "bytes",
            f'{{"inputs": [{value}]}}',
            id=f"no base64 object: {value}",
            error="not formatted correctly for base64 data",
            source="util/json_tensor.cc JsonDecodeBase64Object",
        )
        for value in (
            '{"b64": 1}',
            '{"b64": null}',
            '{"b64": ["aA=="]}',
            '{"b64": "aA==", "more": 1}',
            '{"b64": "aA==", "b64": "aA=="}',
            '{"B64": "aA=="}',
            '{"base64": "aA=="}',
        )
    ),
    predict(
        "bytes",
        '{"inputs": [{}]}',
        error="not formatted correctly for base64 data",
        source="util/json_tensor.cc JsonDecodeBase64Object",
    ),
    predict(
        "int32",
        '{"inputs": [{"b64": "aA=="}]}',
        error="Type: Object is not of expected type: int32",
        source="util/json_tensor.cc FillTensorProto",
    ),
    predict(
        "string",
        '{"instances": [ { "b64" : "aGVsbG8=" }, { "b64": "d29ybGQ=" } ]}',
        json='{"predictions": ["hello", "world"]}',
        source=f"{TEST}.SingleUnnamedTensorBase64Scalars",
    ),
    predict(
        "string",
        '{"instances": [ [{ "b64" : "aGVsbG8=" }], [{ "b64": "d29ybGQ=" }] ]}',
        json='{"predictions": [["hello"], ["world"]]}',
        source=f"{TEST}.SingleUnnamedTensorBase64Lists",
    ),
    predict(
        "string",
        '{"instances": [{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]}',
        json='{"predictions": [[["hello"], ["world"]]]}',
        source=f"{TEST}.SingleNamedTensorBase64",
    ),
    predict(
        "string",
        '{"instances": ["plain", {"b64": "aGVsbG8="}]}',
        json='{"predictions": ["plain", "hello"]}',
        source="util/json_tensor.cc FillTensorMapFromInstancesList",
    ),
    predict(
        "string",
        '{"inputs": {"b64": "aGVsbG8="}}',
        json='{"outputs": "hello"}',
        source="util/json_tensor.cc FillTensorMapFromInputsMap",
    ),
    predict(
        "string",
        '{"inputs": "hello"}',
        json='{"outputs": "hello"}',
        source="util/json_tensor.cc FillTensorMapFromInputsMap",
    ),
    predict(
        "bytes",
        '{"instances": [["hello", "world"], ["tf", "serving"]]}',
        json='{"predictions": [[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}],'
        ' [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]}',
        source=f"{TEST}.FromJsonSingleBytesTensor",
    ),
    predict(
        "bytes",
        '{"inputs": "hello"}',
        json='{"outputs": {"b64": "aGVsbG8="}}',
        source=f"{WRITE} and MakeColumnarFormatJsonFromTensors",
    ),
    *(
        predict(
            "string",
            f'{{"instances": [{sent}]}}',
            id=f"string refuses {sent}",
            error=f"JSON Value: {sent} Type: {kind} is not of expected type: string",
            source=f"{ADD} and TypeError",
        )
        for sent, kind in (("1", "Number"), ("true", "True"), ("null", "Null"))
    ),
    predict(
        "string",
        r'{"instances": ["a\"b\\c\/d\n\u0001é\u2028"]}',
        json=r'{"predictions": ["a\"b\\c/d\n\u0001é\u2028"]}',
        source=WRITE,
    ),
    predict(
        "string",
        '{"instances": ["a\\u0000b"]}',
        json='{"predictions": ["a\\u0000b"]}',
        source=WRITE,
    ),
    *(
        predict(
            "string",
            b'{"instances": ["' + sent + b'"]}',
            id=f"an answer that is no UTF-8: {sent!r}",
            holds=b'{"predictions":["' + content + b'"]}',
            source=f"{PARSE} and {WRITE}: the bytes as they are",
        )
        for sent, content in (
            (b"\xff", b"\xff"),
            (b"\xc3", b"\xc3"),
            (b"\xed\xa0\x80", b"\xed\xa0\x80"),
            (b"\\ude00", b"\xed\xb8\x80"),
        )
    ),
]
