import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import Config, MaskingConfig
from bert_tf.data import records
from bert_tf.data.batches import epochs, masked_batches
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.tokenizer import Tokenizer

MASKING = MaskingConfig(max_predictions_per_seq=6)
NO_MASKS = MaskingConfig(mask_share=0.0, random_share=0.0, max_predictions_per_seq=6)


def read_all(directory: Path, split: str) -> list[bytes]:
    paths = [str(path) for path in records.shard_paths(directory, split)]
    return list(tf.data.TFRecordDataset(paths).as_numpy_iterator())


def training(records_dir: Path, **overrides: Any) -> tf.data.Dataset:
    arguments = {"batch_size": 16, "masking": MASKING, "seed": 3, **overrides}
    return masked_batches.training_batches(records_dir, **arguments)


def assert_equal_batches(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second)
    for left, right in zip(first, second, strict=True):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_elements_have_the_promised_names_types_and_static_shapes(records_dir: Path) -> None:
    spec = training(records_dir, max_seq_length=40).element_spec
    assert {name: (s.dtype, s.shape.as_list()) for name, s in spec.items()} == {
        "input_ids": (tf.int32, [16, 40]),
        "input_mask": (tf.int32, [16, 40]),
        "segment_ids": (tf.int32, [16, 40]),
        "masked_lm_positions": (tf.int32, [16, 6]),
        "masked_lm_ids": (tf.int32, [16, 6]),
        "masked_lm_weights": (tf.float32, [16, 6]),
        "next_sentence_labels": (tf.int32, [16]),
        "next_sentence_weights": (tf.float32, [16]),
    }
    evaluation = masked_batches.evaluation_batches(
        records_dir, batch_size=16, masking=MASKING, seed=3
    ).element_spec
    assert evaluation.keys() == spec.keys()
    assert evaluation["input_ids"].shape == [16, 32]


def test_masked_positions_restore_the_record(records_dir: Path) -> None:
    batch = next(training(records_dir).as_numpy_iterator())
    restored = batch["input_ids"].copy()
    for row in range(16):
        for slot in np.flatnonzero(batch["masked_lm_weights"][row]):
            restored[row, batch["masked_lm_positions"][row, slot]] = batch["masked_lm_ids"][
                row, slot
            ]
    known = {tuple(ids) for ids in _input_ids(read_all(records_dir, "train"))}
    for row, mask in zip(restored, batch["input_mask"], strict=True):
        assert tuple(row[: mask.sum()]) in known


@pytest.mark.parametrize("window", [16384, 50])
def test_every_epoch_sees_every_example_once_in_another_order(
    records_dir: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(epochs, "SHUFFLE_WINDOW", window)
    expected = Counter(tuple(ids) for ids in _input_ids(read_all(records_dir, "train")))
    num_examples = sum(expected.values())
    batches = training(records_dir, batch_size=7, masking=NO_MASKS).take(2 * num_examples // 7 + 1)
    seen = [sequence for batch in batches.as_numpy_iterator() for sequence in _sequences(batch)]
    first, second = seen[:num_examples], seen[num_examples : 2 * num_examples]
    assert Counter(first) == expected
    assert Counter(second) == expected
    assert first != second


@pytest.mark.parametrize("window", [16384, 50])
@pytest.mark.parametrize("start_step", [13, 87])
def test_positioned_dataset_equals_skipping_from_step_0(
    records_dir: Path, monkeypatch: pytest.MonkeyPatch, start_step: int, window: int
) -> None:
    monkeypatch.setattr(epochs, "SHUFFLE_WINDOW", window)
    skipped = training(records_dir).skip(start_step).take(3)
    positioned = training(records_dir, start_step=start_step).take(3)
    assert_equal_batches(list(positioned.as_numpy_iterator()), list(skipped.as_numpy_iterator()))


def test_several_groups_of_files_are_read_once_an_epoch_and_positioned(
    records_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_step = 25
    monkeypatch.setattr(epochs, "SHUFFLE_WINDOW", 20)
    monkeypatch.setattr(epochs, "MAX_OPEN_FILES", 2)  # Of three: two groups.
    expected = Counter(tuple(ids) for ids in _input_ids(read_all(records_dir, "train")))
    num_examples = sum(expected.values())
    one_epoch = training(records_dir, batch_size=num_examples, masking=NO_MASKS)
    assert Counter(_sequences(next(one_epoch.as_numpy_iterator()))) == expected
    skipped = training(records_dir).skip(start_step).take(3)
    positioned = training(records_dir, start_step=start_step).take(3)
    assert_equal_batches(list(positioned.as_numpy_iterator()), list(skipped.as_numpy_iterator()))


def test_batches_depend_on_the_seed_and_not_on_tensorflows_global_one(records_dir: Path) -> None:
    tf.random.set_seed(1)
    first = list(training(records_dir).take(3).as_numpy_iterator())
    tf.random.set_seed(2)
    assert_equal_batches(first, list(training(records_dir).take(3).as_numpy_iterator()))
    other = next(training(records_dir, seed=4).as_numpy_iterator())
    assert (other["input_ids"] != first[0]["input_ids"]).any()


def test_the_second_epoch_has_other_masks(records_dir: Path) -> None:
    num_examples = records.read_manifest(records_dir).num_examples("train")
    epochs = training(records_dir, batch_size=num_examples, masking=MASKING).take(2)
    first, second = (batch["masked_lm_positions"] for batch in epochs.as_numpy_iterator())
    assert sorted(map(tuple, first)) != sorted(map(tuple, second))


def test_max_seq_length_below_the_records_is_refused(records_dir: Path) -> None:
    with pytest.raises(ValueError, match=r"at least that of the records, 32\. Received: 16"):
        training(records_dir, max_seq_length=16)


def test_evaluation_pads_the_last_batch_with_weight_0_and_repeats_its_masks(
    records_dir: Path,
) -> None:
    num_examples = records.read_manifest(records_dir).num_examples("eval")
    batch_size = num_examples // 2 + 1
    dataset = masked_batches.evaluation_batches(
        records_dir, batch_size=batch_size, masking=MASKING, seed=3
    )
    batches = list(dataset.as_numpy_iterator())
    assert_equal_batches(batches, list(dataset.as_numpy_iterator()))
    assert [len(batch["input_ids"]) for batch in batches] == [batch_size, batch_size]
    assert sum(batch["next_sentence_weights"].sum() for batch in batches) == num_examples
    num_filled = 2 * batch_size - num_examples
    assert (batches[1]["masked_lm_weights"][-num_filled:] == 0).all()
    assert (batches[1]["masked_lm_weights"][:-num_filled].sum(axis=1) > 0).all()


def test_evaluation_stops_after_max_steps(records_dir: Path) -> None:
    dataset = masked_batches.evaluation_batches(
        records_dir, batch_size=2, masking=MASKING, seed=3, max_steps=3
    )
    assert len(list(dataset)) == 3


def test_no_held_out_records_is_an_error(tmp_path: Path, corpus_config: Config) -> None:
    corpus = corpus_config.corpus.model_copy(update={"held_out_share": 0.0})
    prepare_records(corpus_config.model_copy(update={"corpus": corpus}), tmp_path)
    with pytest.raises(ValueError, match=r"needs held-out records.*corpus\.held_out_share"):
        masked_batches.evaluation_batches(tmp_path, batch_size=2, masking=MASKING, seed=3)


def test_without_pairs_next_sentence_weights_are_0(tmp_path: Path, corpus_config: Config) -> None:
    examples = corpus_config.examples.model_copy(update={"next_sentence": False})
    prepare_records(corpus_config.model_copy(update={"examples": examples}), tmp_path)
    batch = next(training(tmp_path).as_numpy_iterator())
    assert (batch["next_sentence_weights"] == 0).all()
    assert (batch["next_sentence_labels"] == 0).all()
    assert (batch["segment_ids"] == 0).all()
    assert batch["input_ids"].shape == (16, 32)


def test_unigram_entropy_equals_a_count_by_hand(records_dir: Path, tokenizer: Tokenizer) -> None:
    def count(split: str) -> Counter[int]:
        ids = itertools.chain.from_iterable(_input_ids(read_all(records_dir, split)))
        return Counter(i for i in ids if i not in tokenizer.special_ids)

    train, held_out = count("train"), count("eval")
    total = sum(train.values()) + tokenizer.vocab_size - len(tokenizer.special_ids)
    expected = -sum(n * math.log((train[i] + 1) / total) for i, n in held_out.items())
    entropy = masked_batches.unigram_entropy(records_dir)
    assert entropy == pytest.approx(expected / sum(held_out.values()))


def _sequences(batch: Any) -> list[tuple[int, ...]]:
    return [
        tuple(ids[: mask.sum()])
        for ids, mask in zip(batch["input_ids"], batch["input_mask"], strict=True)
    ]


def _input_ids(serialized: list[bytes]) -> list[list[int]]:
    return [
        list(tf.train.Example.FromString(record).features.feature["input_ids"].int64_list.value)
        for record in serialized
    ]


def test_baselines_hold_the_share_of_the_more_frequent_answer(records_dir: Path) -> None:
    found = masked_batches.baselines(records_dir)
    batches = masked_batches.evaluation_batches(records_dir, batch_size=4, masking=MASKING, seed=1)
    labels = np.concatenate(
        [
            batch["next_sentence_labels"][batch["next_sentence_weights"] > 0]
            for batch in batches.as_numpy_iterator()
        ]
    )
    majority = max(np.bincount(labels, minlength=2)) / len(labels)
    assert found["next_sentence_majority"] == pytest.approx(majority)
    assert found["unigram_entropy"] == masked_batches.unigram_entropy(records_dir)


@pytest.mark.parametrize("unit", ["word", "ngram", "span"])
def test_units_of_words_know_the_vocabulary(records_dir: Path, unit: Any) -> None:
    masking = MaskingConfig(unit=unit, max_predictions_per_seq=6)
    batches = training(records_dir, masking=masking)
    assert batches.element_spec["masked_lm_positions"].shape == [16, 6]
    assert next(batches.as_numpy_iterator())["masked_lm_weights"].sum() > 0
