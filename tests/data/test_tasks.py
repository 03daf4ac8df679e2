import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches import tasks
from bert_tf.data.text.tokenizer import Tokenizer

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
FIELDS = {"text_field": "text", "label_field": "label"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def make_data(num_rows: int) -> tasks.LabelledText:
    texts = [" ".join(["cat"] * (1 + row % 40)) + f" {row}" for row in range(num_rows)]
    return tasks.LabelledText(texts, None, [str(row % 3) for row in range(num_rows)])


def batches(data: tasks.LabelledText, tokenizer: Tokenizer, **overrides: Any) -> tf.data.Dataset:
    arguments = {
        "tokenizer": tokenizer,
        "class_names": tasks.class_names(data.labels),
        "max_seq_length": 64,
        "batch_size": 4,
        "is_training": True,
        "seed": 5,
        **overrides,
    }
    return tasks.classification_batches(data, **arguments)


def test_tsv_is_read_without_quoting(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '\ufeffid\ttext\tlabel\r\n1\t"open\u2028 end\t1\r\n2\t\t0\r\n')
    data = tasks.read_labelled(path, **FIELDS)
    assert data == tasks.LabelledText(['"open\u2028 end', ""], None, ["1", "0"])


def test_jsonl_gz_pairs_and_number_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    record = {"text": "a", "other": "b", "label": 1}
    path.write_bytes(gzip.compress((json.dumps(record) + "\n\n").encode()))
    data = tasks.read_labelled(path, text_pair_field="other", **FIELDS)
    assert data == tasks.LabelledText(["a"], ["b"], ["1"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "sentence\tlabel\nx\t1\n", r"a\.tsv:2: .*'text'.*fields sentence, label"),
        ("a.tsv", "text\tlabel\nx\t1\nx\t1\t2\n", r"a\.tsv:3: .*2 columns.*Received: 3"),
        ("a.tsv", "text\tlabel\nx\t \n", r"a\.tsv:2: a record needs a label"),
        ("a.tsv", "text\tlabel\n", r"a\.tsv:1: .*at least one record"),
        ("a.tsv", "", r"a\.tsv:1: .*at least one record"),
        ("a.jsonl", '{"text": "x", "label": 1}\n[1]\n', r"a\.jsonl:2: .*JSON object.*list"),
        ("a.jsonl", '{"text": "x", "label": null}\n', r"a\.jsonl:1: .*'label'.*None"),
        ("a.jsonl", "{\n", r"a\.jsonl:1: .*JSON object"),
        ("a.jsonl", '{"text": "\\ud83d", "label": 1}\n', r"a\.jsonl:1: .*UTF-8.*'\\ud83d'"),
        ("a.csv", "text,label\n", r"a\.csv: .*must be one of \.tsv"),
    ],
)
def test_faults_are_named_with_path_and_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.read_labelled(write(tmp_path / name, text), **FIELDS)


def test_a_missing_file_and_invalid_utf8_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.tsv: labelled data must exist"):
        tasks.read_labelled(tmp_path / "no.tsv", **FIELDS)
    path = tmp_path / "a.tsv"
    path.write_bytes(b"text\tlabel\nab\xff\t1\n")
    with pytest.raises(ValueError, match=r"a\.tsv:2: text must be UTF-8"):
        tasks.read_labelled(path, **FIELDS)


def test_class_names_are_sorted_as_numbers_if_they_are() -> None:
    assert tasks.class_names(["10", "9", "-1", "9"]) == ["-1", "9", "10"]
    assert tasks.class_names(["10", "9", "b"]) == ["10", "9", "b"]


def test_training_batch_holds_what_was_asked_for(tokenizer: Tokenizer) -> None:
    data = make_data(30)
    spec = batches(data, tokenizer).element_spec
    assert spec["input_ids"].shape.as_list() == [4, None]
    for batch in batches(data, tokenizer).take(20).as_numpy_iterator():
        longest = batch["input_mask"].sum(axis=1).max()
        assert batch["input_ids"].shape == (4, min(n for n in (16, 24, 32, 48) if n >= longest))
        assert batch["input_ids"].dtype == batch["labels"].dtype == np.int32
        for ids, mask, label in zip(
            batch["input_ids"], batch["input_mask"], batch["labels"], strict=True
        ):
            pieces = [tokenizer.vocabulary[token_id] for token_id in ids[1 : mask.sum() - 1]]
            row = data.texts.index(" ".join(pieces).replace(" ##", ""))
            assert data.labels[row] == str(label)


def test_pairs_are_packed_with_segments_and_trimmed(tokenizer: Tokenizer) -> None:
    data = tasks.LabelledText(["cat dog", "cat " * 40], ["house", "dog " * 40], ["x", "y"])
    (batch,) = batches(
        data, tokenizer, is_training=False, batch_size=2, max_seq_length=24
    ).as_numpy_iterator()
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    cat, dog, house = tokenizer.tokenize(["cat dog house"]).to_list()[0]
    assert batch["input_ids"][0, :7].tolist() == [cls, cat, dog, sep, house, sep, 0]
    assert batch["segment_ids"][0, :7].tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert batch["input_ids"][1].tolist() == [cls, *[cat] * 11, sep, *[dog] * 10, sep]


def test_training_is_positioned_at_any_step(tokenizer: Tokenizer) -> None:
    data = make_data(30)
    everything = list(batches(data, tokenizer).take(25).as_numpy_iterator())
    for start_step in (3, 7, 20):
        positioned = batches(data, tokenizer, start_step=start_step).take(3)
        for left, right in zip(
            positioned.as_numpy_iterator(), everything[start_step:], strict=False
        ):
            np.testing.assert_array_equal(left["input_ids"], right["input_ids"])
            np.testing.assert_array_equal(left["labels"], right["labels"])


def test_each_epoch_has_every_row_once_in_another_order(tokenizer: Tokenizer) -> None:
    data = make_data(30)
    rows = [
        tuple(ids[ids != 0])
        for batch in batches(data, tokenizer).take(15).as_numpy_iterator()
        for ids in batch["input_ids"]
    ]
    assert Counter(rows[:30]) == Counter(rows[30:])
    assert len(set(rows[:30])) == 30
    assert rows[:30] != rows[30:]


def test_evaluation_is_one_pass_in_order_with_the_last_batch_filled(tokenizer: Tokenizer) -> None:
    data = make_data(6)
    first, second = batches(data, tokenizer, is_training=False).as_numpy_iterator()
    assert first["labels"].tolist() == [0, 1, 2, 0]
    assert first["weights"].tolist() == [1, 1, 1, 1]
    assert second["labels"][:2].tolist() == [1, 2]
    assert second["weights"].tolist() == [1, 1, 0, 0]


def test_unknown_labels_and_a_missing_seed_are_refused(tokenizer: Tokenizer) -> None:
    data = make_data(6)
    with pytest.raises(ValueError, match=r"record 3: .*data's: 0, 1\. Received: '2'; in all 2 rec"):
        batches(data, tokenizer, class_names=["0", "1"])
    with pytest.raises(ValueError, match="need a seed"):
        batches(data, tokenizer, seed=None)


def test_an_unknown_label_is_reported_with_path_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "text\tlabel\nx\t1\n\nx\tgood\nx\tbad\nx\tgood\n")
    data = tasks.read_labelled(path, **FIELDS)
    with pytest.raises(
        ValueError,
        match=r"a\.tsv:4: every label .*: 0, 1\. Received: 'good'; in all 3 .* 'bad', 'good'\. Re",
    ):
        tasks.check_labels(data, class_names=["0", "1"])
    tasks.check_labels(data, class_names=["1", "bad", "good"])
    path = write(tmp_path / "b.jsonl", '\n{"text": "x", "label": 7}\n')
    with pytest.raises(ValueError, match=r"b\.jsonl:2: every label .*'7'"):
        tasks.check_labels(tasks.read_labelled(path, **FIELDS), class_names=["0", "1"])


def test_where_a_record_stands_is_no_part_of_what_it_is(tmp_path: Path) -> None:
    first = tasks.read_labelled(write(tmp_path / "a.tsv", "text\tlabel\nx\t1\n"), **FIELDS)
    second = tasks.read_labelled(write(tmp_path / "b.tsv", "text\tlabel\n\nx\t1\n"), **FIELDS)
    assert first == second
    assert second.where(0) == f"{tmp_path}/b.tsv:3"


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data beside the repository")
def test_real_files_are_read_whole() -> None:
    korean = tasks.read_labelled(
        SHARED / "ko/nsmc/test.tsv", text_field="document", label_field="label"
    )
    english = tasks.read_labelled(
        SHARED / "en/sst2/dev.tsv", text_field="sentence", label_field="label"
    )
    assert len(korean.texts) == 10_000
    assert len(english.texts) == 872
    assert tasks.class_names(korean.labels) == tasks.class_names(english.labels) == ["0", "1"]
