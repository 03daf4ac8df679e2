import gzip
import json
import logging
import re
from pathlib import Path

import pytest

from bert_tf.config import CorpusConfig
from bert_tf.data.corpora import corpus

WIKITEXT_FILE = Path(__file__).parents[2].parent / "shared/data/en/wikitext2_valid.txt"


def read(path: Path, **settings: object) -> list[tuple[tuple[str, ...], str]]:
    config = CorpusConfig.model_validate({"paths": (str(path),), **settings})
    return [
        (document.paragraphs, document.source.rpartition("/")[2])
        for document in corpus.read_documents(config)
    ]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff\n\n First.\r\nSecond.\n\n \n한국어\u2028둘".encode())
    return path


def test_blank_lines_end_documents(text_file: Path) -> None:
    expected = [(("First.", "Second."), "a.txt:3"), (("한국어\u2028둘",), "a.txt:7")]
    assert read(text_file) == expected


def test_a_file_or_a_line_can_be_a_document(text_file: Path) -> None:
    whole = read(text_file, document_boundary="file")
    assert whole == [(("First.", "Second.", "한국어\u2028둘"), "a.txt:3")]
    lines = read(text_file, document_boundary="line")
    assert [source for _, source in lines] == ["a.txt:3", "a.txt:4", "a.txt:7"]


def test_gz_reads_as_plain(tmp_path: Path, text_file: Path) -> None:
    packed = tmp_path / "a.txt.gz"
    packed.write_bytes(gzip.compress(text_file.read_bytes()))
    plain = [paragraphs for paragraphs, _ in read(text_file)]
    assert [paragraphs for paragraphs, _ in read(packed)] == plain
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"a\.txt\.gz: a \.gz file must be whole"):
        read(packed)


def test_jsonl_has_a_document_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "One.\\nTwo."}\n\n{"text": " "}\n{"text": "Three."}\n')
    assert read(path) == [(("One.", "Two."), "a.jsonl:1"), (("Three.",), "a.jsonl:4")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a\.jsonl:2: .*one JSON object"),
        ("[1]", r"a\.jsonl:2: .*one JSON object\. Received: list"),
        ('{"body": "x"}', r"a\.jsonl:2: .*field 'text'.*\['body'\].*corpus\.text_field"),
        ('{"text": 3}', r"a\.jsonl:2: .*Received: 3"),
    ],
)
def test_faulty_json_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "One."}\n' + line + "\n")
    with pytest.raises(ValueError, match=message):
        read(path)


def test_invalid_utf8_stops_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"ok\nbad \xff here\n")
    with pytest.raises(ValueError, match=r"a\.txt:2: text must be UTF-8.*byte 4.*replace"):
        read(path)


def test_invalid_utf8_is_replaced_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"ok\nbad \xff here\n\xfe\n")
    with caplog.at_level(logging.WARNING):
        documents = read(path, encoding_errors="replace")
    assert documents == [(("ok", "bad \ufffd here", "\ufffd"), "a.txt:1")]
    assert "a.txt: invalid UTF-8 replaced by U+FFFD in 2 line(s)" in caplog.text


LONE_SURROGATES = r"""{"text": "fine \ud83d\ude00 \\ud83d"}
{"text": "ok \ud83d", "tags": ["\uDE00"]}
{"text": "\ude00\ud83d", "\ud800": 1}
"""


def test_half_a_surrogate_pair_stops_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(LONE_SURROGATES)
    with pytest.raises(
        ValueError, match=r"a\.jsonl:2: text must be UTF-8\. .*half a surrogate.*'\\ud83d'.*replace"
    ):
        read(path)


def test_half_a_surrogate_pair_is_replaced_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(LONE_SURROGATES)
    with caplog.at_level(logging.WARNING):
        documents = read(path, encoding_errors="replace")
    assert [paragraphs for paragraphs, _ in documents] == [
        ("fine \N{GRINNING FACE} \\ud83d",),
        ("ok \ufffd",),
        ("\ufffd\ufffd",),
    ]
    assert "a.jsonl: half surrogate pairs replaced by U+FFFD in 2 line(s)" in caplog.text


WIKITEXT = (
    " \n = Cat ( animal ) = \n \n A cat = a cat . \n = 3 = \n It @-@ purrs . \n \n"
    " = = In <unk> = = \n \n = = = Age = = = \n \n 20 years . \n \n = Empty = \n \n"
    " = = = = \n \n = Dog = \n \n = = x = \n"
)


def test_wikitext_titles_open_documents_and_headings_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(WIKITEXT, encoding="utf-8")
    expected = [
        (("A cat = a cat .", "= 3 =", "It @-@ purrs .", "20 years ."), 4),
        (("= = = =",), 16),
        (("= = x =",), 20),
    ]
    found = read(path, document_boundary="wikitext")
    assert found == [(paragraphs, f"a.txt:{number}") for paragraphs, number in expected]
    rows = tmp_path / "a.jsonl"
    rows.write_text(
        "".join(json.dumps({"text": line}) + "\n" for line in path.read_text().splitlines())
    )
    found = read(rows, document_boundary="wikitext")
    assert found == [(paragraphs, f"a.jsonl:{number}") for paragraphs, number in expected]
    rows.write_text(
        "".join(json.dumps({"text": line}) + "\n" for line in path.read_text().splitlines(True))
    )
    found = read(rows, document_boundary="wikitext")
    assert found == [(paragraphs, f"a.jsonl:{number}") for paragraphs, number in expected]
    rows.write_text(json.dumps({"text": path.read_text()}))
    found = read(rows, document_boundary="wikitext")
    assert found == [(paragraphs, "a.jsonl:1") for paragraphs, _ in expected]


@pytest.mark.skipif(not WIKITEXT_FILE.is_file(), reason="needs the shared data")
def test_real_wikitext_has_its_sixty_articles() -> None:
    documents = read(WIKITEXT_FILE, document_boundary="wikitext")
    assert len(documents) == 60
    assert documents[0][1] == "wikitext2_valid.txt:4"
    assert documents[1][0][0].startswith("Air Vice Marshal Frank <unk>")
    text = "\n".join("\n".join(paragraphs) for paragraphs, _ in documents)
    assert " @-@ " in text
    assert not re.search("(?m)^= ", text)


def test_folders_and_globs_are_sorted_and_listed_once(tmp_path: Path) -> None:
    for name in ("b.txt", "sub/a.jsonl", "sub/c.txt.gz", "sub/picture.png", "a.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    everything = corpus.list_files([tmp_path, tmp_path / "b.txt", str(tmp_path / "**" / "*.txt")])
    names = [str(path.relative_to(tmp_path)) for path in everything]
    assert names == ["b.txt", "sub/a.jsonl", "sub/c.txt.gz"]


def test_missing_and_foreign_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no\.txt: a corpus path must exist.*corpus\.paths"
    ):
        corpus.list_files([tmp_path / "no.txt"])
    with pytest.raises(FileNotFoundError, match=r"at least one of \.txt, .*Received: none"):
        corpus.list_files([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"\*\.txt: a corpus path must hold"):
        corpus.list_files([tmp_path / "*.txt"])
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"a\.png: a corpus file must be one of"):
        corpus.list_files([tmp_path / "a.png"])
    with pytest.raises(ValueError, match=r"corpus\.paths must name at least one file"):
        list(corpus.read_documents(CorpusConfig()))


def test_an_empty_file_is_passed_over_and_an_empty_corpus_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text(" \n\n")
    with pytest.raises(ValueError, match=r"a\.txt: a corpus needs at least one document"):
        read(tmp_path)
    (tmp_path / "b.txt").write_text("text")
    assert read(tmp_path) == [(("text",), "b.txt:1")]
    assert "a.txt: no document in it" in caplog.text


def test_holding_out_depends_on_text_and_seed_only() -> None:
    texts = [f"document {number}" for number in range(4000)]

    def chosen(seed: int, share: float, source: str = "a") -> list[bool]:
        return [
            corpus.is_held_out(corpus.Document((text,), source), share=share, seed=seed)
            for text in texts
        ]

    assert chosen(1, 0.1) == chosen(1, 0.1, source="b")
    assert chosen(1, 0.1) != chosen(2, 0.1)
    assert sum(chosen(1, 0.1)) == pytest.approx(400, abs=80)
    pairs = zip(chosen(1, 0.1), chosen(1, 0.3), strict=True)
    assert all(wide or not narrow for narrow, wide in pairs)
    assert not any(chosen(1, 0.0))
    assert all(chosen(1, 1.0))
    # A fixed value: another release must not move documents between the sides.
    first_chosen = [number for number, is_chosen in enumerate(chosen(1, 0.1)) if is_chosen][:4]
    assert first_chosen == [11, 28, 45, 54]
