"""Sequences laid into rows: each once, with its masks and label, and the rows full."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import MaskingConfig, VocabularyConfig, validate_config
from bert_tf.data.batches.masked_batches import training_batches
from bert_tf.data.batches.row_packing import (
    RowLimits,
    lay_out,
    pack_batches,
    pack_rows,
    round_up,
    row_limits,
)
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer

PAD = 9
MASKING = MaskingConfig(max_predictions_per_seq=6)
LIMITS = RowLimits(num_sequences=16, num_predictions=24)


def make_batch(lengths: Any, *, length: int = 128, num_predictions: int = 20) -> dict[str, Any]:
    """Sequences of random ids from 10 on, 15% of their tokens predicted."""
    rng = np.random.default_rng(5)
    lengths = np.asarray(lengths)
    shape, predictions = (len(lengths), length), (len(lengths), num_predictions)
    is_token = np.arange(length) < lengths[:, None]
    wanted = np.minimum(num_predictions, np.maximum(1, np.round(0.15 * lengths)))
    is_used = np.arange(num_predictions) < wanted[:, None]
    positions = np.sort(rng.integers(0, lengths[:, None], predictions), axis=1)
    return {
        "input_ids": np.where(is_token, rng.integers(10, 99, shape), PAD).astype(np.int32),
        "input_mask": is_token.astype(np.int32),
        "segment_ids": (is_token * rng.integers(0, 2, shape)).astype(np.int32),
        "masked_lm_positions": np.where(is_used, positions, 0).astype(np.int32),
        "masked_lm_ids": (is_used * rng.integers(10, 99, predictions)).astype(np.int32),
        "masked_lm_weights": is_used.astype(np.float32),
        "next_sentence_labels": rng.integers(0, 2, len(lengths)).astype(np.int32),
        "next_sentence_weights": np.ones(len(lengths), np.float32),
    }


def short_lengths(count: int) -> Any:
    """As short texts have: most near 20 tokens, some long."""
    drawn = np.random.default_rng(3).lognormal(3.0, 0.6, count)
    return np.clip(drawn, 4, 128).astype(np.int64)


def padded_sequences(batch: dict[str, Any]) -> Counter[Any]:
    """Tokens, segments, predictions and label of each sequence of a padded batch."""
    found: Counter[Any] = Counter()
    for index, mask in enumerate(batch["input_mask"]):
        is_used = batch["masked_lm_weights"][index] > 0
        found[
            tuple(batch["input_ids"][index, : mask.sum()]),
            tuple(batch["segment_ids"][index, : mask.sum()]),
            tuple(batch["masked_lm_positions"][index, is_used]),
            tuple(batch["masked_lm_ids"][index, is_used]),
            batch["next_sentence_labels"][index],
        ] += 1
    return found


def packed_sequences(packed: dict[str, Any]) -> Counter[Any]:
    """The same of packed rows, by their sequence ids and restarting positions."""
    found: Counter[Any] = Counter()
    for index, ids in enumerate(packed["sequence_ids"]):
        weights = packed["masked_lm_weights"][index]
        positions = packed["masked_lm_positions"][index]
        for number in range(1, ids.max() + 1):
            at = np.flatnonzero(ids == number)
            is_used = (weights > 0) & (ids[positions] == number)
            assert packed["sequence_positions"][index, number - 1] == at[0]
            assert packed["next_sentence_weights"][index, number - 1] == 1.0
            np.testing.assert_array_equal(packed["position_ids"][index, at], np.arange(len(at)))
            found[
                tuple(packed["input_ids"][index, at]),
                tuple(packed["segment_ids"][index, at]),
                tuple(positions[is_used] - at[0]),
                tuple(packed["masked_lm_ids"][index, is_used]),
                packed["next_sentence_labels"][index, number - 1],
            ] += 1
    return found


def test_the_example_of_the_module_is_what_comes_out() -> None:
    batch = make_batch([5, 6, 3], length=8, num_predictions=2)
    packed = pack_rows(batch, limits=RowLimits(2, 4), num_parts=1, pad_id=PAD)
    assert packed["sequence_ids"].tolist() == [[1] * 6 + [0, 0], [1] * 5 + [2] * 3]
    assert packed["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 0, 0], [0, 1, 2, 3, 4, 0, 1, 2]]
    assert packed["sequence_positions"].tolist() == [[0, 0], [0, 5]]
    assert packed["input_ids"][0].tolist() == [*batch["input_ids"][1, :6], PAD, PAD]
    assert packed["input_mask"].tolist() == [[1] * 6 + [0, 0], [1] * 8]
    assert packed["next_sentence_weights"].tolist() == [[1.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("num_parts", [1, 4])
def test_every_sequence_is_there_once_with_its_predictions_and_label(num_parts: int) -> None:
    batch = make_batch(short_lengths(200))
    packed = pack_rows(batch, limits=LIMITS, num_parts=num_parts, pad_id=PAD)
    assert packed_sequences(packed) == padded_sequences(batch)
    assert len(packed["input_ids"]) % num_parts == 0
    is_padding = packed["sequence_ids"] == 0
    np.testing.assert_array_equal(packed["input_mask"], ~is_padding)
    assert set(packed["input_ids"][is_padding]) == {PAD}


def test_a_weight_of_a_sequence_goes_with_it() -> None:
    batch = make_batch([20, 30, 40])
    batch["next_sentence_weights"][1] = 0.0
    batch["masked_lm_weights"][1] = 0.0
    packed = pack_rows(batch, limits=LIMITS, num_parts=1, pad_id=PAD)
    assert packed["input_mask"].sum() == 90
    for term in ("next_sentence", "masked_lm"):
        assert packed[f"{term}_weights"].sum() == batch[f"{term}_weights"].sum()


def test_rows_are_at_least_95_percent_full_on_short_texts() -> None:
    for count in (256, 4096):
        batch = make_batch(short_lengths(count))
        packed = pack_rows(batch, limits=LIMITS, num_parts=1, pad_id=PAD)
        assert packed["input_mask"].mean() >= 0.95, count


@pytest.mark.parametrize("limits", [RowLimits(3, 100), RowLimits(100, 7), RowLimits(1, 4)])
def test_no_row_holds_more_than_its_limits(limits: RowLimits) -> None:
    lengths = np.minimum(short_lengths(100), 26)
    predictions = np.maximum(1, np.round(lengths * 0.15)).astype(int)
    places = lay_out(lengths, predictions, length=128, limits=limits)
    for row in range(places.row.max() + 1):
        is_here = places.row == row
        assert 0 < is_here.sum() <= limits.num_sequences
        assert lengths[is_here].sum() <= 128
        assert predictions[is_here].sum() <= limits.num_predictions


def test_limits_follow_the_length_and_leave_room_for_the_longest_sequence() -> None:
    assert row_limits(128, num_predictions=20, masked_lm_prob=0.15) == (32, 24)
    assert row_limits(128, num_predictions=77, masked_lm_prob=0.15) == (32, 77)


def test_few_numbers_of_rows_occur_and_little_is_added() -> None:
    rounded = [round_up(rows, num_parts=1) for rows in range(1, 1025)]
    assert rounded[:63] == list(range(1, 64))
    assert all(
        rows <= more < rows + max(1, rows / 32) for rows, more in enumerate(rounded, start=1)
    )
    assert len(set(rounded[511:])) <= 33
    assert round_up(50, num_parts=8) == 56


def packed(records_dir: Path, **options: int) -> tf.data.Dataset:
    batches = training_batches(records_dir, batch_size=16, masking=MASKING, seed=3, **options)
    return pack_batches(batches, num_parts=2, masked_lm_prob=0.15, pad_id=0)


def test_packed_batches_have_static_widths_and_can_be_positioned(records_dir: Path) -> None:
    spec = packed(records_dir).element_spec
    assert {name: s.shape.as_list() for name, s in spec.items()} == {
        **{name: [None, 32] for name in ("input_ids", "input_mask", "segment_ids")},
        **{name: [None, 32] for name in ("position_ids", "sequence_ids")},
        **{name: [None, 6] for name in ("masked_lm_positions", "masked_lm_ids")},
        **{name: [None, 8] for name in ("sequence_positions", "next_sentence_labels")},
        "masked_lm_weights": [None, 6],
        "next_sentence_weights": [None, 8],
    }
    skipped = packed(records_dir).skip(7).take(2)
    positioned = packed(records_dir, start_step=7).take(2)
    for left, right in zip(skipped, positioned, strict=True):
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_workers_pack_their_own_sequences(records_dir: Path) -> None:
    whole = next(packed(records_dir).as_numpy_iterator())
    parts = [
        next(packed(records_dir, num_workers=2, worker_index=index).as_numpy_iterator())
        for index in (0, 1)
    ]
    assert sum(map(packed_sequences, parts), Counter()) == packed_sequences(whole)


@pytest.mark.slow
def test_rows_of_real_reviews_are_at_least_95_percent_full(
    shared_data: Path, tmp_path: Path
) -> None:
    lines = (shared_data / "ko" / "reviews.txt").read_text(encoding="utf-8").splitlines()[:20_000]
    (tmp_path / "reviews.txt").write_text("\n".join(lines), encoding="utf-8")
    tree: dict[str, Any] = {
        "corpus": {"paths": [str(tmp_path / "reviews.txt")], "document_boundary": "line"},
        "tokenizer": {"vocabulary": str(tmp_path)},
        "records": {"num_shards": 1, "num_workers": 1},
    }
    config = validate_config(tree)
    tokens = learn_vocabulary(lines, config=VocabularyConfig(size=8000), tokenizer=config.tokenizer)
    WordPieceTokenizer(tokens).save(tmp_path)
    for next_sentence in (True, False):
        folder = tmp_path / f"records-{next_sentence}"
        tree["examples"] = {"next_sentence": next_sentence}
        prepare_records(validate_config(tree), folder)
        batches = training_batches(folder, batch_size=256, masking=config.masking, seed=0)
        rows = pack_batches(batches, num_parts=1, masked_lm_prob=0.15, pad_id=0)
        masks = [batch["input_mask"] for batch in rows.take(20).as_numpy_iterator()]
        assert np.concatenate(masks).mean() >= 0.95
