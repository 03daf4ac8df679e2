"""The lines of a file of texts, as `bert-tf predict --file` reads them."""

from pathlib import Path

import pytest

from bert_tf.cli.predict import _read_lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_read_whatever_ends_them(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(end.join(["하나", "", "two\tthree", ""]).encode(encoding))
    assert _read_lines(str(path)) == ["하나", "", "two\tthree"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "cp949"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("한글은 아름다운 글자이다. 그는 집에 갔다.\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"texts\.txt:1: .*It is likely {encoding}\. Convert"):
        _read_lines(str(path))
