"""Text and JSON files: what is refused with path and line, and nothing changed without a word."""

import pydantic
import pytest

from bert_tf.system.json_files import JsonError, decode_json, read_json, read_model, read_text


def written(tmp_path, content):
    path = tmp_path / "f.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a":\n 1', r"f\.json:2: a note must be JSON"),
        ("", r"f\.json:1: a note must be JSON"),
        ('{"a": 1}{', r"f\.json:1: a note must be JSON"),
        (b'{"a":\n "\xff"}', r"f\.json:2: a note must be UTF-8. Received: byte 0xff at position 8"),
        ('{"a": 1}'.encode("utf-16"), r"f\.json:1: a note must be UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), r"f\.json:1: a note must be JSON"),
        ("[" * 200_000, r"f\.json: a note must be JSON. Received: lists or objects nested too"),
        ('{"a":' * 200_000, r"f\.json: a note must be JSON. Received: lists or objects nested too"),
        ('{"b": 1,\n"a": ' + "9" * 5000 + "}", r"f\.json:2: .*a number of 5,000 digits; 4,300"),
        ('{"a": 1, "a": 2}', r"f\.json: .*'a' more than once"),
        ('{"a": 1e999}', r"f\.json: .*the number 1e999, which is out of range"),
        (r'{"a": "\ud83d"}', r"f\.json: .*half a surrogate pair, '\\ud83d'"),
        ("[1]", r"f\.json: a note must be a JSON object. Received: list. Restore"),
        ("null", r"f\.json: a note must be a JSON object. Received: NoneType. Restore"),
    ],
)
def test_what_is_no_whole_json_is_refused_with_path_and_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_json(written(tmp_path, content), what="a note")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"f\.json: a note must be there. Received: no such"
    ):
        read_json(tmp_path / "f.json", what="a note")


def test_what_is_json_is_read_as_it_is(tmp_path):
    path = written(tmp_path, '{"a": [1.5, NaN, "\\ud83d\\ude00"], "b": {"a": null}}')
    value = read_json(path)
    assert value["a"][0] == 1.5
    assert value["a"][1] != value["a"][1]
    assert value["a"][2] == "😀"
    assert value["b"] == {"a": None}


def test_errors_of_a_text_alone_have_the_line():
    with pytest.raises(JsonError, match="Expecting value") as caught:
        decode_json('{"a":\n x}')
    assert caught.value.lineno == 2


def test_wrong_fields_are_named_with_the_path(tmp_path):
    class Note(pydantic.BaseModel):
        number: int

    with pytest.raises(
        ValueError, match=r"f\.json: not a note. Received: number: .*Write it again"
    ):
        read_model(
            written(tmp_path, '{"number": "x"}'), Note, what="a note", to_do="Write it again."
        )
    assert read_model(written(tmp_path, '{"number": 3}'), Note, what="a note").number == 3


def test_text_has_the_line_of_the_first_byte_that_is_no_utf8(tmp_path):
    with pytest.raises(ValueError, match=r"f\.json:3: a list must be UTF-8. Received: byte 0xb0"):
        read_text(written(tmp_path, b"a\nb\n\xb0\xa1"), what="a list")
