from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf.data import records
from bert_tf.data.records import shard_files

ROWS = [
    ([2, 7, 3, 300, 70_000, 3], 3, 1),
    ([2, 127, 128, 16_383, 16_384, 2_097_152, 2**31 - 1, 3], 8, records.NO_LABEL),
    ([2, 3, 3], 2, 0),
]
EXAMPLES = records.Examples.from_rows(ROWS)


def write(directory: Path, compression: str = "none") -> records.Shard:
    path = directory / "train-00000-of-00001.tfrecord"
    shard = records.write_shard(path, [EXAMPLES, EXAMPLES], split="train", compression=compression)
    manifest = records.Manifest(
        schema_version=records.SCHEMA_VERSION,
        plan={
            "examples": {"max_seq_length": 8, "next_sentence": True},
            "records": {"compression": compression},
            "tokenizer": {"vocabulary_sha256": "00"},
        },
        num_documents={"train": 3, "eval": 0},
        shards=(shard,),
    )
    records.write_manifest(manifest, directory)
    return shard


def segments(row: tuple[list[int], int, int]) -> list[int]:
    ids, first_length, _ = row
    return [0] * first_length + [1] * (len(ids) - first_length)


def test_bytes_are_tensorflow_examples() -> None:
    for row, record in zip(ROWS, records.serialize(EXAMPLES), strict=True):
        message = tf.train.Example.FromString(record)
        features = {
            name: list(feature.int64_list.value)
            for name, feature in message.features.feature.items()
        }
        ids, _, label = row
        expected = {"input_ids": ids, "segment_ids": segments(row)}
        if label != records.NO_LABEL:
            expected["next_sentence_labels"] = [label]
        assert features == expected
        assert message.SerializeToString(deterministic=True) == record


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_what_is_written_is_read_back(tmp_path: Path, compression: str) -> None:
    shard = write(tmp_path, compression)
    assert (shard.num_examples, shard.num_tokens, shard.split) == (6, 34, "train")
    (path,) = records.shard_paths(tmp_path, "train")
    dataset = tf.data.TFRecordDataset(str(path), records.tf_compression(compression))
    parsed = records.parse(next(iter(dataset.batch(6))))
    assert parsed["input_ids"].to_list() == [ids for ids, _, _ in ROWS] * 2
    assert parsed["segment_ids"].to_list() == [segments(row) for row in ROWS] * 2
    assert parsed["next_sentence_labels"].numpy().tolist() == [1, -1, 0] * 2
    assert records.shard_paths(tmp_path, "eval") == []


def test_the_manifest_counts(tmp_path: Path) -> None:
    write(tmp_path)
    manifest = records.read_manifest(tmp_path)
    assert manifest.num_examples("train") == 6
    assert manifest.num_tokens("train") == 34
    assert manifest.num_examples("eval") == 0
    assert manifest.max_seq_length == 8


def test_a_failed_shard_leaves_nothing_behind(tmp_path: Path) -> None:
    def blocks():  # type: ignore[no-untyped-def]
        yield EXAMPLES
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        records.write_shard(tmp_path / "a.tfrecord", blocks(), split="train")
    assert list(tmp_path.iterdir()) == []


def test_truncated_and_missing_shards_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "train-00000-of-00001.tfrecord"
    num_bytes = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(
        ValueError, match=rf"of-00001\.tfrecord: .* {num_bytes} bytes .* {num_bytes - 5}\."
    ):
        records.shard_paths(tmp_path, "train")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"of-00001\.tfrecord: every shard .* must exist"):
        records.shard_paths(tmp_path, "train")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_changed_byte_is_found_before_reading_and_names_the_shard(
    tmp_path: Path, compression: str
) -> None:
    write(tmp_path, compression)
    records.shard_paths(tmp_path, "train")  # Found whole, which is remembered.
    flip_a_byte(tmp_path / "train-00000-of-00001.tfrecord")
    with pytest.raises(ValueError, match=r"of-00001\.tfrecord: a shard must have the content"):
        records.shard_paths(tmp_path, "train")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_byte_that_changes_while_reading_names_the_shard(
    tmp_path: Path, compression: str
) -> None:
    write(tmp_path, compression)
    (path,) = records.shard_paths(tmp_path, "train")
    dataset = tf.data.TFRecordDataset(str(path), records.tf_compression(compression))
    flip_a_byte(path)
    with (
        pytest.raises(ValueError, match=r"of-00001\.tfrecord: a shard must have the content"),
        records.damage_named(tmp_path),
    ):
        list(dataset)


def test_errors_that_are_not_of_the_records_pass(tmp_path: Path) -> None:
    write(tmp_path)
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="something else"),
        records.damage_named(tmp_path),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "something else")


def test_checksums_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    read: list[Path] = []
    monkeypatch.setattr(shard_files, "_check_content", lambda path, sha256: read.append(path))
    for _ in range(3):
        (path,) = records.shard_paths(tmp_path, "train")
    assert read == [path]
    path.touch()
    records.shard_paths(tmp_path, "train")
    assert read == [path, path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"manifest\.json:1: a manifest as `bert-tf prepare` writes it must be JSON"),
        ("[]", r"manifest\.json: a manifest as .* must be a JSON object. Received: list"),
        ('{"schema_version": 99}', r"manifest\.json: .*schema version 1\. Received: 99"),
        ('{"schema_version": 1}', r"manifest\.json: not a manifest as .*plan: Field required"),
        (
            '{"schema_version": 1, "plan": {"examples": 3}, "num_documents": {}, "shards": []}',
            r"plan\.examples\.max_seq_length must be a int, not None",
        ),
    ],
)
def test_faulty_manifests_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        records.read_manifest(tmp_path)


def test_a_missing_manifest_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"manifest\.json: .*Run `bert-tf prepare`"):
        records.read_manifest(tmp_path)
