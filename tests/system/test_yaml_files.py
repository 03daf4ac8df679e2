"""YAML files: what they hold, and what is refused with the line."""

import pytest

from bert_tf.system.yaml_files import decode_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  x: 1\nb: 2\na:\n  y: 1\n", r"^f.yaml:4: .*'a' again, which is in line 1 already"),
        ("a:\n  x: 1\n  x: 2\n", r"^f.yaml:3: .*'x' again, which is in line 2"),
        ("- {x: 1,\n   x: 2}\n", r"^f.yaml:2: .*'x' again"),
        ("yes: 1\ntrue: 2\n", r"^f.yaml:2: .*True again"),
        ("a: 1\nb: " + "9" * 5000, r"^f.yaml:2: .*a number of 5,000 digits; 4,300 can be read"),
        ("a: 1\nb: 2020-13-45", r"^f.yaml:2: .*'2020-13-45', which cannot be read as timestamp"),
        ("a: !!timestamp x", r"^f.yaml:1: .*cannot be read as timestamp"),
        ("a: !!bool x", r"^f.yaml:1: .*cannot be read as bool"),
        ("a: !!python/object:os.system x", r"^f.yaml:1: .*could not determine a constructor"),
        ("[" * 5000, r"^f.yaml: .*nested too deeply"),
        ("a: &x {b: *x}", r"^f.yaml:1: .*holds itself"),
        ("a: &x [1, [*x]]", r"^f.yaml:1: .*holds itself"),
        ("a: 1\nb: \x07", r"^f.yaml:2: .*the character #x0007"),
        ("a: [1", r"^f.yaml:1: .*expected ',' or '\]'"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_path_and_line(text, message):
    with pytest.raises(ValueError, match=message):
        parse_yaml(text, origin="f.yaml", what="a file")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-32", "cp949", "latin-1"])
def test_another_encoding_is_refused_with_the_path(tmp_path, codec):
    text = "name: é\n" if codec == "latin-1" else "name: 값\n"
    (tmp_path / "f.yaml").write_bytes(text.encode(codec))
    with pytest.raises(ValueError, match=r"f\.yaml:1: a file must be (UTF-8|YAML)"):
        read_yaml(tmp_path / "f.yaml", what="a file")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "f.yaml").write_bytes("seed: 1".encode("utf-8-sig"))
    assert read_yaml(tmp_path / "f.yaml", what="a file") == {"seed": 1}


def test_merged_sections_may_be_overridden():
    text = "a: {b: &b {<<: &y {k: 1}, j: 0, k: 2}}\nc: {<<: *b, j: 3}\n"
    assert decode_yaml(text) == {"a": {"b": {"k": 2, "j": 0}}, "c": {"k": 2, "j": 3}}
