import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches import epochs, google_records, google_schema
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import VOCABULARY_FILE
from tests.data.conftest import make_text

LENGTH, PREDICTIONS = 32, 5


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Any:
    """tf-models-official's own instances and tokenizer."""
    from official.nlp.data import create_pretraining_data as official
    from official.nlp.tools import tokenization

    folder = tmp_path_factory.mktemp("google")
    tokenizer.save(folder)
    (folder / "text.txt").write_text(make_text(num_documents=40), encoding="utf-8")
    theirs = tokenization.FullTokenizer(str(folder / VOCABULARY_FILE), do_lower_case=False)
    made = official.create_training_instances(
        [str(folder / "text.txt")],
        theirs,
        tokenization.convert_to_unicode,
        LENGTH,
        dupe_factor=1,
        short_seq_prob=0.1,
        masked_lm_prob=0.15,
        max_predictions_per_seq=PREDICTIONS,
        rng=random.Random(1),
    )
    return made, theirs


def write(instances: Any, folder: Path, *, gzip: bool = False, second_names: bool = False) -> Path:
    """Three files of tf-models-official's writer."""
    from official.nlp.data import create_pretraining_data as official

    made, theirs = instances
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"part-{index}.tfrecord") for index in range(3)]
    official.write_instance_to_example_files(
        made, theirs, LENGTH, PREDICTIONS, paths, gzip, second_names
    )
    return folder


def open_static(path: Path, tokenizer: Tokenizer) -> google_schema.StaticRecords:
    return google_records.open_static(
        path, vocab_size=tokenizer.vocab_size, cls_id=tokenizer.cls_id
    )


def batches_of(static: google_schema.StaticRecords, **overrides: Any) -> tf.data.Dataset:
    return google_records.training_batches(static, **{"batch_size": 8, "seed": 3, **overrides})


def rows_of(batches: list[Any]) -> Counter[tuple[Any, ...]]:
    names = sorted(batches[0].keys() - {"next_sentence_weights"})
    return Counter(
        tuple(tuple(np.ravel(batch[name][row]).tolist()) for name in names)
        for batch in batches
        for row in np.flatnonzero(batch["next_sentence_weights"])
    )


def expected_rows(instances: Any) -> Counter[tuple[Any, ...]]:
    made, theirs = instances
    rows = []
    for one in made:
        ids = theirs.convert_tokens_to_ids(one.tokens)
        labels = theirs.convert_tokens_to_ids(one.masked_lm_labels)
        row: dict[str, list[Any]] = {
            "input_ids": ids + [0] * (LENGTH - len(ids)),
            "input_mask": [1] * len(ids) + [0] * (LENGTH - len(ids)),
            "segment_ids": one.segment_ids + [0] * (LENGTH - len(ids)),
            "masked_lm_positions": one.masked_lm_positions + [0] * (PREDICTIONS - len(labels)),
            "masked_lm_ids": labels + [0] * (PREDICTIONS - len(labels)),
            "masked_lm_weights": [1.0] * len(labels) + [0.0] * (PREDICTIONS - len(labels)),
            "next_sentence_labels": [int(one.is_random_next)],
        }
        rows.append(tuple(tuple(row[name]) for name in sorted(row)))
    return Counter(rows)


@pytest.mark.parametrize(("gzip", "second_names"), [(False, False), (True, True)])
def test_every_record_is_seen_once_as_it_was_written(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path, gzip: bool, second_names: bool
) -> None:
    folder = write(instances, tmp_path / "a", gzip=gzip, second_names=second_names)
    static = open_static(folder, tokenizer)
    assert static.num_examples == len(instances[0])
    assert (static.max_seq_length, static.max_predictions_per_seq) == (LENGTH, PREDICTIONS)
    epoch = batches_of(static, batch_size=static.num_examples).take(1)
    assert rows_of(list(epoch.as_numpy_iterator())) == expected_rows(instances)
    evaluation = google_records.evaluation_batches(static, batch_size=7)
    assert rows_of(list(evaluation.as_numpy_iterator())) == expected_rows(instances)


def test_elements_are_those_of_prepared_records(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    static = open_static(write(instances, tmp_path / "a") / "part-*", tokenizer)
    spec = batches_of(static).element_spec
    assert {name: (s.dtype, s.shape.as_list()) for name, s in spec.items()} == {
        "input_ids": (tf.int32, [8, LENGTH]),
        "input_mask": (tf.int32, [8, LENGTH]),
        "segment_ids": (tf.int32, [8, LENGTH]),
        "masked_lm_positions": (tf.int32, [8, PREDICTIONS]),
        "masked_lm_ids": (tf.int32, [8, PREDICTIONS]),
        "masked_lm_weights": (tf.float32, [8, PREDICTIONS]),
        "next_sentence_labels": (tf.int32, [8]),
        "next_sentence_weights": (tf.float32, [8]),
    }


def test_batches_follow_from_seed_and_step_for_any_number_of_workers(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs, "SHUFFLE_WINDOW", 20)
    static = open_static(write(instances, tmp_path / "a"), tokenizer)
    steps = static.num_examples // 8 + 2  # In the second epoch.
    skipped = list(batches_of(static).skip(steps).take(2).as_numpy_iterator())
    parts = [
        batches_of(static, start_step=steps, num_workers=2, worker_index=index)
        .take(2)
        .as_numpy_iterator()
        for index in range(2)
    ]
    for whole, *rows in zip(skipped, *parts, strict=True):
        for name in whole:
            joined = np.concatenate([part[name] for part in rows])
            np.testing.assert_array_equal(joined, whole[name], err_msg=name)
    other = next(batches_of(static, seed=4).as_numpy_iterator())
    assert (other["input_ids"] != next(batches_of(static).as_numpy_iterator())["input_ids"]).any()


def test_ids_outside_the_vocabulary_name_file_and_record(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    static = open_static(write(instances, tmp_path / "a"), tokenizer)
    change(tmp_path / "a" / "part-1.tfrecord", number=5, name="masked_lm_ids", values=[300] * 5)
    limit = tokenizer.vocab_size - 1
    with (
        pytest.raises(
            ValueError,
            match=rf"part-1\.tfrecord: record 5: masked_lm_ids must be from 0 to {limit}, but",
        ),
        google_records.damage_named(static),
    ):
        list(batches_of(static).take(static.num_examples // 8))


@pytest.mark.parametrize(
    ("number", "name", "values", "message"),
    [
        (1, "input_mask", None, r"part-1\.tfrecord: record 1: a record must have the feature in"),
        (1, "input_ids", [9] * LENGTH, r"part-1\.tfrecord: record 1: .* begin with \[CLS\]"),
        (1, "segment_ids", [0] * 9, r"part-1\.tfrecord: record 1: segment_ids must have 32 value"),
    ],
)
def test_files_that_do_not_fit_are_refused_before_reading(
    instances: Any,
    tokenizer: Tokenizer,
    tmp_path: Path,
    number: int,
    name: str,
    values: list[int] | None,
    message: str,
) -> None:
    write(instances, tmp_path / "a")
    change(tmp_path / "a" / "part-1.tfrecord", number=number, name=name, values=values)
    with pytest.raises(ValueError, match=message):
        open_static(tmp_path / "a", tokenizer)


@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.parametrize("is_cut", [False, True])
def test_damaged_files_are_named(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path, gzip: bool, is_cut: bool
) -> None:
    path = write(instances, tmp_path / "a", gzip=gzip) / "part-2.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[:-9] if is_cut else content)
    with pytest.raises(ValueError, match=r"part-2\.tfrecord: .*whole TFRecord file"):
        open_static(tmp_path / "a", tokenizer)


def test_a_file_of_something_else_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "other.tfrecord")) as writer:
        writer.write(b"text")
    with pytest.raises(
        ValueError, match=r"other\.tfrecord: record 1: .* a tf\.train\.Example, but"
    ):
        open_static(tmp_path, tokenizer)
    (tmp_path / "other.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match=r"other\.tfrecord: .* at least one\. Received: none"):
        open_static(tmp_path, tokenizer)


def test_plain_and_compressed_files_together_are_refused(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write(instances, tmp_path / "a", gzip=True)
    write(instances, tmp_path / "b").joinpath("part-1.tfrecord").replace(
        tmp_path / "a" / "z.tfrecord"
    )
    with pytest.raises(ValueError, match=r"z\.tfrecord: .*all plain or all GZIP"):
        open_static(tmp_path / "a", tokenizer)


def test_what_is_static_and_what_is_missing(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path, records_dir: Path
) -> None:
    folder = write(instances, tmp_path / "a")
    assert google_records.is_static(folder)
    assert google_records.is_static(folder / "part-*")
    assert google_records.is_static(folder / "part-0.tfrecord")
    assert not google_records.is_static(records_dir)
    assert not google_records.is_static(tmp_path / "nowhere")
    assert not google_records.is_static(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"records must be a file, or a folder or glob"):
        open_static(tmp_path / "x*", tokenizer)


def test_the_majority_of_next_sentence_answers_is_counted(
    instances: Any, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    static = open_static(write(instances, tmp_path / "a"), tokenizer)
    share = np.mean([one.is_random_next for one in instances[0]])
    found = google_records.next_sentence_majority(static)
    assert found == {"next_sentence_majority": pytest.approx(max(share, 1 - share))}


def change(path: Path, *, number: int, name: str, values: list[int] | None) -> None:
    """Give a feature of a record (from 1) other values, or take it out."""
    serialized = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    message = tf.train.Example.FromString(serialized[number - 1])
    del message.features.feature[name]
    if values is not None:
        message.features.feature[name].int64_list.value.extend(values)
    serialized[number - 1] = message.SerializeToString()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
            writer.write(record)
