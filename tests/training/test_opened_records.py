"""Pretraining and evaluation on records of either kind, whole and damaged."""

import random
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from bert_tf.config import Config, MaskingConfig, validate_config
from bert_tf.data.batches.masked_batches import training_batches
from bert_tf.data.batches.ranges import RangeError, faults_named
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from bert_tf.tracking.provenance import read_provenance
from bert_tf.training.stages.evaluation import evaluate_model
from bert_tf.training.stages.pretraining import pretrain

TOKENS = [PAD, UNK, CLS, SEP, MASK, *"abcdefghij"]
LENGTH, PREDICTIONS = 12, 2


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A vocabulary, and train and held-out files in Google's format."""
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    draw = random.Random(0)
    for split, count in (("train", 40), ("heldout", 10)):
        for part in range(2):
            with tf.io.TFRecordWriter(str(tmp_path / f"{split}-{part}.tfrecord")) as writer:
                for _ in range(count):
                    writer.write(make_record(draw))
    return tmp_path


def make_record(draw: random.Random, **changes: list[int]) -> bytes:
    ids = [2, *(draw.randint(5, 14) for _ in range(4)), 3, *(draw.randint(5, 14) for _ in "ab"), 3]
    label, ids[2] = ids[2], 4
    numbers = {
        "input_ids": ids + [0] * (LENGTH - len(ids)),
        "input_mask": [1] * len(ids) + [0] * (LENGTH - len(ids)),
        "segment_ids": [0] * 6 + [1] * 3 + [0] * 3,
        "masked_lm_positions": [2, 0],
        "masked_lm_ids": [label, 0],
        "next_sentence_labels": [draw.randint(0, 1)],
    } | changes
    message = tf.train.Example()
    for name, values in numbers.items():
        message.features.feature[name].int64_list.value.extend(values)
    message.features.feature["masked_lm_weights"].float_list.value.extend([1.0, 0.0])
    return message.SerializeToString()


def make_config(folder: Path, **sections: Any) -> Config:
    tree: dict[str, Any] = {
        "tokenizer": {"vocabulary": str(folder / "vocab.txt")},
        "model": {
            "num_hidden_layers": 1,
            "hidden_size": 8,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 16,
        },
        "pretraining": {
            "records": str(folder / "train-*"),
            "eval_records": str(folder / "heldout-*"),
            "num_train_steps": 3,
            "training": {"batch_size": 4, "precision": "float32"},
            **sections.pop("pretraining", {}),
        },
        "tracking": {"enabled": False},
    }
    return validate_config(tree | sections)


def test_static_records_are_trained_on_and_evaluated(static: Path, tmp_path: Path) -> None:
    metrics = pretrain(make_config(static), tmp_path / "encoder")
    assert read_provenance(tmp_path / "encoder")["inputs"][1]["source"] == str(static / "heldout-*")
    assert metrics["masked_lm_loss"] > 0
    assert 0.5 <= metrics["next_sentence_majority"] <= 1.0
    evaluation = {
        "model": str(tmp_path / "encoder"),
        "data": str(static / "heldout-*"),
        "batch_size": 6,
    }
    again = evaluate_model(make_config(static, evaluation=evaluation), tmp_path / "evaluation")
    assert again["masked_lm_loss"] == pytest.approx(metrics["masked_lm_loss"], rel=1e-5)
    assert again["next_sentence_majority"] == metrics["next_sentence_majority"]
    other = make_config(static, pretraining={"eval_records": str(static / "heldout-0*")})
    with pytest.raises(ValueError, match=r"eval_data_sha256: was .*, is "):
        pretrain(other, tmp_path / "encoder")


def test_an_id_outside_the_vocabulary_stops_training_with_file_and_record(
    static: Path, tmp_path: Path
) -> None:
    path = static / "train-1.tfrecord"
    good = [bytes(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    bad = make_record(random.Random(1), masked_lm_ids=[15, 0])
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in [*good[:7], bad, *good[7:]]:
            writer.write(record)
    config = make_config(static, pretraining={"num_train_steps": 30, "eval_records": None})
    with pytest.raises(
        ValueError, match=r"train-1\.tfrecord: record 8: masked_lm_ids must be from"
    ):
        pretrain(config, tmp_path / "encoder")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"eval_records": "{static}/other-*"}, r"other-0\.tfrecord: record 1: .*feature input_ids"),
        ({"eval_records": "{static}/unlike-*"}, r"unlike-\*: held-out records must be like those"),
        ({"records": "{prepared}"}, r"pretraining\.eval_records must be unset for a folder of"),
    ],
)
def test_records_that_do_not_go_together_are_refused(
    static: Path, tmp_path: Path, prepared: Path, section: dict[str, str], message: str
) -> None:
    record = tf.train.Example.FromString(make_record(random.Random(1)))
    for name, feature in (("unlike", "next_sentence_labels"), ("other", "input_ids")):
        del record.features.feature[feature]
        with tf.io.TFRecordWriter(str(static / f"{name}-0.tfrecord")) as writer:
            writer.write(record.SerializeToString())
    changes = {k: v.format(static=static, prepared=prepared) for k, v in section.items()}
    with pytest.raises(ValueError, match=message):
        pretrain(make_config(static, pretraining=changes), tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bert_tf.data.preparation.prepare import prepare_records

    folder = tmp_path_factory.mktemp("prepared")
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    draw = random.Random(0)
    documents = [
        "\n".join(" ".join(draw.choices("abcdefghij", k=5)) for _ in range(4)) for _ in range(60)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    config = validate_config(
        {
            "corpus": {"paths": [str(folder / "text.txt")], "held_out_share": 0.2},
            "tokenizer": {"vocabulary": str(folder / "vocab.txt")},
            "examples": {"max_seq_length": 16},
            "records": {"num_shards": 2, "num_workers": 1},
        }
    )
    prepare_records(config, folder / "records")
    return folder / "records"


def test_a_shard_damaged_before_training_is_named_and_nothing_written(
    prepared: Path, tmp_path: Path
) -> None:
    folder = copy_of(prepared, tmp_path)
    flip_a_byte(folder / "train-00001-of-00002.tfrecord")
    config = make_config(tmp_path, pretraining={"records": str(folder), "eval_records": None})
    with pytest.raises(ValueError, match=r"train-00001-of-00002\.tfrecord: a shard must have the"):
        pretrain(config, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_another_vocabulary_beside_the_records_is_refused(prepared: Path, tmp_path: Path) -> None:
    folder = copy_of(prepared, tmp_path)
    other = [*TOKENS[:-1], "z"]
    (folder / "vocab.txt").write_text("\n".join(other) + "\n", encoding="utf-8")
    config = make_config(tmp_path, pretraining={"records": str(folder), "eval_records": None})
    with pytest.raises(
        ValueError, match=r"records: the vocabulary must be the one that the record"
    ):
        pretrain(config, tmp_path / "encoder")


@pytest.mark.parametrize("unit", ["token", "word"])
def test_an_id_outside_the_vocabulary_is_named_whatever_is_masked(
    prepared: Path, tmp_path: Path, unit: str
) -> None:
    folder = copy_of(prepared, tmp_path)
    (folder / "vocab.txt").write_text("\n".join(TOKENS[:-3]) + "\n", encoding="utf-8")
    masking = MaskingConfig(unit=unit)
    batches = training_batches(folder, batch_size=64, masking=masking, seed=0)
    with pytest.raises(RangeError, match=r"input_ids must be from 0 to 11. Received: 1[234]. "):
        read_some(batches)


def test_a_shard_damaged_while_training_reads_it_is_named(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of(prepared, tmp_path)

    def damage_then_read(*arguments: Any, **options: Any) -> tf.data.Dataset:
        batches = training_batches(*arguments, **options)
        flip_a_byte(folder / "train-00001-of-00002.tfrecord")
        return batches

    monkeypatch.setattr("bert_tf.data.batches.masked_batches.training_batches", damage_then_read)
    config = make_config(tmp_path, pretraining={"records": str(folder), "eval_records": None})
    with pytest.raises(ValueError, match=r"train-00001-of-00002\.tfrecord: a shard must have the"):
        pretrain(config, tmp_path / "encoder")


@faults_named()
def read_some(batches: tf.data.Dataset) -> None:
    for _ in batches.take(4):
        pass


def copy_of(folder: Path, parent: Path) -> Path:
    target = parent / "records"
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
