from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches import length_groups
from bert_tf.data.batches.labelled import encode_texts, labelled_batches
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import TextLimits

BATCH = 4


def draw_lengths(num_rows: int) -> np.ndarray:
    choices = [8, 16, 24, 32, 48, 64]
    return np.random.default_rng(0).choice(choices, num_rows).astype(np.int32)


def read_rows(
    lengths: np.ndarray, *, num_steps: int, start_step: int = 0, **options: Any
) -> list[list[int]]:
    arguments = {"batch_size": BATCH, "seed": 5, "group_by_length": True, **options}
    batches = length_groups.training_rows(lengths, start_step=start_step, **arguments)
    return [rows.numpy().tolist() for rows, _ in batches.take(num_steps)]


def padding_share(lengths: np.ndarray, batches: list[list[int]]) -> float:
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    return float(1 - sum(lengths[rows].sum() for rows in batches) / padded)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(length_groups, "WINDOW_BATCHES", 3)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("num_rows", [1, 3, 4, 30, 103])
@pytest.mark.parametrize("group_by_length", [True, False])
def test_every_row_comes_once_an_epoch(num_rows: int, group_by_length: bool) -> None:
    batches = read_rows(draw_lengths(num_rows), num_steps=num_rows, group_by_length=group_by_length)
    rows = np.reshape(batches, (BATCH, num_rows))  # as many steps: `BATCH` epochs
    assert (np.sort(rows) == np.arange(num_rows)).all()
    if num_rows > 4:
        assert len({tuple(epoch) for epoch in rows}) == BATCH


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("num_rows", [3, 30])
def test_a_batch_is_the_same_from_any_start_step(num_rows: int) -> None:
    lengths = draw_lengths(num_rows)
    everything = read_rows(lengths, num_steps=40)
    for start_step in (1, 7, 8, 22, 34):
        expected = everything[start_step : start_step + 3]
        assert read_rows(lengths, num_steps=3, start_step=start_step) == expected
    assert read_rows(lengths, num_steps=40, seed=6) != everything


def test_batches_are_of_like_length_in_every_epoch() -> None:
    lengths = draw_lengths(1003)
    grouped = read_rows(lengths, num_steps=750)
    shuffled = read_rows(lengths, num_steps=750, group_by_length=False)
    assert padding_share(lengths, shuffled) > 0.35
    assert padding_share(lengths, grouped) < 0.03
    mixed = [step for step, rows in enumerate(grouped) if len(set(lengths[rows])) > 1]
    assert len(mixed) < 3 * 4 * 6  # epochs, windows, borders between lengths


def test_lengths_of_consecutive_batches_and_mates_of_a_row_are_random() -> None:
    lengths = draw_lengths(1000)
    batches = read_rows(lengths, num_steps=5000)
    longest = [lengths[rows].max() for rows in batches]
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.1
    mates = Counter(row for rows in batches if 0 in rows for row in rows if row != 0)
    same_length = set(np.flatnonzero(lengths == lengths[0])) - {0}
    assert max(mates.values()) <= 6  # of 20 epochs
    assert len(set(mates) & same_length) > 40  # of 60


def test_a_row_stands_anywhere_in_an_epoch_whatever_its_length() -> None:
    lengths = draw_lengths(40)
    rows = np.reshape(read_rows(lengths, num_steps=4000), (400, 40))
    positions = np.argsort(rows).mean(axis=0)
    np.testing.assert_allclose(positions, 19.5, atol=3.0)


@pytest.mark.parametrize("group_by_length", [True, False])
def test_evaluation_is_one_pass_with_the_last_batch_filled(group_by_length: bool) -> None:
    lengths = np.array([8, 32, 16, 32, 8, 24], np.int32)
    batches = length_groups.evaluation_rows(
        lengths, batch_size=BATCH, group_by_length=group_by_length
    )
    rows, weights = (
        np.concatenate(part) for part in zip(*batches.as_numpy_iterator(), strict=True)
    )
    expected = [1, 3, 5, 2, 0, 4] if group_by_length else [0, 1, 2, 3, 4, 5]
    assert rows.tolist() == [*expected, expected[-1], expected[-1]]
    assert weights.tolist() == [1, 1, 1, 1, 1, 1, 0, 0]


def test_lengths_are_few_and_end_at_the_limit() -> None:
    assert length_groups.batch_lengths(128) == [8, 16, 24, 32, 48, 64, 96, 128]
    assert length_groups.batch_lengths(40) == [8, 16, 24, 32, 40]
    assert length_groups.batch_lengths(8) == [8]
    assert len(length_groups.batch_lengths(512)) == 12


@pytest.mark.parametrize("has_pairs", [False, True])
def test_grouped_batches_hold_the_examples_of_plain_ones(
    tokenizer: Tokenizer, has_pairs: bool
) -> None:
    texts = [" ".join(["cat"] * (1 + row * 17 % 40)) + f" {row}" for row in range(30)]
    pairs = ["dog " * (row % 7) for row in range(30)] if has_pairs else None
    targets = {"labels": np.arange(30, dtype=np.int32) % 3}
    encoded = encode_texts(
        texts, pairs, targets=targets, tokenizer=tokenizer, limits=TextLimits(48)
    )

    def examples(*, is_training: bool, group_by_length: bool) -> tuple[Counter, int]:
        batches = labelled_batches(
            encoded,
            batch_size=BATCH,
            is_training=is_training,
            group_by_length=group_by_length,
            seed=1,
        )
        seen: Counter = Counter()
        num_positions = 0
        for batch in batches.take(15 if is_training else 8).as_numpy_iterator():
            num_positions += batch["input_ids"].size
            lengths = batch["input_mask"].sum(axis=1)
            for row in np.flatnonzero(batch["weights"]):
                names = ("input_ids", "segment_ids")
                inputs = (tuple(batch[name][row, : lengths[row]]) for name in names)
                seen[(*inputs, batch["labels"][row])] += 1
        return seen, num_positions

    plain, num_plain = examples(is_training=False, group_by_length=False)
    for is_training in (False, True):
        grouped, num_grouped = examples(is_training=is_training, group_by_length=True)
        num_epochs = 2 if is_training else 1
        assert grouped == Counter({key: num_epochs * count for key, count in plain.items()})
        assert num_grouped < num_epochs * num_plain


def test_rows_of_evaluation_need_no_more_than_their_lengths(tokenizer: Tokenizer) -> None:
    texts = ["", "cat " * 100]
    encoded = encode_texts(texts, targets={}, tokenizer=tokenizer, limits=TextLimits(20))
    batches = labelled_batches(encoded, batch_size=1, is_training=False, group_by_length=True)
    shapes = [tuple(tf.shape(batch["input_ids"]).numpy()) for batch in batches]
    assert shapes == [(1, 20), (1, 8)]
