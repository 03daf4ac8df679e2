"""Batches by token budget: which examples, in which order, within which bounds."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches.token_budget import (
    BudgetPlan,
    deal_rows,
    evaluation_batches,
    padded_lengths,
    plan_batches,
    training_batches,
)

CASES = [
    # examples, longest, batch_tokens
    (1, 10, 16),
    (7, 10, 16),
    (100, 4, 1000),
    (103, 40, 64),
    (997, 60, 700),
    (2000, 128, 4096),
]


def draw_lengths(num: int, longest: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Padded lengths of both sides, alike but for some pairs."""
    rng = np.random.default_rng(seed)
    source = rng.integers(1, longest + 1, num)
    target = np.clip(source + rng.integers(-4, 9, num), 1, longest)
    target[::17] = rng.integers(1, longest + 1, len(target[::17]))
    steps = padded_lengths(longest)
    return tuple(steps[np.searchsorted(steps, side)] for side in (source, target))


def make_plan(num: int, longest: int, batch_tokens: int) -> BudgetPlan:
    return plan_batches(
        *draw_lengths(num, longest), batch_tokens=batch_tokens, where=lambda row: f"row {row}"
    )


def read(plan: BudgetPlan, *, num_steps: int, seed: int = 5, start_step: int = 0) -> list:
    batches = training_batches(plan, seed=seed, start_step=start_step).take(num_steps)
    return [(rows.tolist(), int(epoch)) for rows, epoch in batches.as_numpy_iterator()]


@pytest.mark.parametrize("case", CASES)
def test_every_example_comes_once_an_epoch_within_the_budget(case: tuple[int, int, int]) -> None:
    num, longest, batch_tokens = case
    lengths = np.stack(draw_lengths(num, longest), axis=1)
    plan = make_plan(*case)
    shapes = [Counter(map(tuple, of_cut)) for of_cut in plan.shapes.tolist()]
    steps = read(plan, num_steps=3 * plan.num_batches)
    for epoch in range(3):
        batches = [rows for rows, of_epoch in steps if of_epoch == epoch]
        assert len(batches) == plan.num_batches
        assert sorted(row for rows in batches for row in rows) == list(range(num))
        assert Counter((len(rows), *lengths[rows].max(axis=0)) for rows in batches) in shapes
        for rows in batches:
            assert len(rows) * lengths[rows].max() <= batch_tokens


@pytest.mark.parametrize("case", CASES)
def test_batches_are_full_but_for_few(case: tuple[int, int, int]) -> None:
    plan = make_plan(*case)
    assert (plan.shapes[:, :, 0].sum(axis=1) == case[0]).all()
    for of_cut in plan.shapes:
        most = case[2] // of_cut[:, 1:].max(axis=1)
        full = np.where(most >= 8, most - most % 8, most)
        assert (of_cut[:, 0] <= most).all()
        assert (of_cut[:, 0] < full).sum() <= 4  # the first, the last, and one in two parts
    assert ((plan.shapes[0, :-1, 0] % 8 == 0) | (plan.shapes[0, :-1, 0] < 8)).all()


@pytest.mark.parametrize("case", CASES)
def test_a_batch_is_the_same_from_any_start_step(case: tuple[int, int, int]) -> None:
    plan = make_plan(*case)
    everything = read(plan, num_steps=4 * plan.num_batches + 3)
    for start in {0, 1, plan.num_batches - 1, plan.num_batches, 2 * plan.num_batches + 1}:
        found = read(plan, num_steps=4, start_step=start)
        assert found == everything[start : start + 4]


def test_epochs_and_seeds_differ_in_mates_and_order() -> None:
    plan = make_plan(3000, 24, 500)
    steps = read(plan, num_steps=4 * plan.num_batches)
    batch_of = np.zeros((4, 3000), int)
    for number, (rows, epoch) in enumerate(steps):
        batch_of[epoch, rows] = number
    mates = batch_of[0][:, np.newaxis] == batch_of[0]
    np.fill_diagonal(mates, False)
    for epoch in (1, 2, 3):
        again = batch_of[epoch][:, np.newaxis] == batch_of[epoch]
        assert again[mates].mean() < 0.6  # 1 if batches were the same
    first, second = steps[: plan.num_batches], steps[plan.num_batches : 2 * plan.num_batches]
    assert [rows for rows, _ in first] != [rows for rows, _ in second]
    assert read(plan, num_steps=plan.num_batches, seed=6) != first
    lengths = np.stack(draw_lengths(3000, 24), axis=1).max(axis=1)
    longest = [lengths[rows].max() for rows, _ in steps]
    assert abs(np.corrcoef(longest[:-1], longest[1:])[0, 1]) < 0.1


def test_examples_padded_alike_take_all_places_alike() -> None:
    source = np.repeat([8, 8, 16], [20, 4, 8])
    plan = plan_batches(source, source, batch_tokens=64, where=str)
    batches = [rows for rows, _ in read(plan, num_steps=400 * plan.num_batches)]
    beside = Counter(row for rows in batches if 0 in rows for row in rows if row)
    counts = [beside[row] for row in range(1, 24)]
    assert max(counts) < 1.6 * min(counts)


def test_padding_is_small_and_shapes_are_few() -> None:
    rng = np.random.default_rng(3)
    real = np.stack([rng.gamma(9, 1.6, 30_000), rng.gamma(9, 1.6, 30_000)]).astype(int) + 2
    real[1] = np.clip(real[0] + rng.integers(-3, 4, 30_000), 2, None)
    steps = padded_lengths(128)
    padded = steps[np.searchsorted(steps, real)]
    plan = plan_batches(*padded, batch_tokens=4096, where=str)
    computed = (plan.shapes[:, :, :1] * plan.shapes[:, :, 1:]).sum(axis=(1, 2))
    assert (1 - real.sum() / computed < 0.08).all()
    assert len(np.unique(plan.shapes.reshape(-1, 3), axis=0)) < 120


def test_evaluation_is_one_pass_the_longest_first() -> None:
    lengths = np.stack(draw_lengths(103, 40), axis=1)
    plan = make_plan(103, 40, 64)
    batches = [rows.tolist() for rows, _ in evaluation_batches(plan).as_numpy_iterator()]
    assert sorted(row for rows in batches for row in rows) == list(range(103))
    longest = [lengths[rows].max() for rows in batches]
    assert longest == sorted(longest, reverse=True)


@pytest.mark.parametrize("num_rows", [1, 2, 5, 8, 13, 24])
@pytest.mark.parametrize(("num_parts", "num_workers"), [(1, 1), (4, 1), (4, 2), (8, 4), (3, 3)])
def test_dealt_rows_are_all_rows_once_and_copies_weigh_nothing(
    num_rows: int, num_parts: int, num_workers: int
) -> None:
    rows = tf.range(100, 100 + num_rows)
    dealt = [
        deal_rows(rows, num_parts=num_parts, num_workers=num_workers, worker_index=index)
        for index in range(num_workers)
    ]
    assert len({len(own) for own, _ in dealt}) == 1
    own = np.concatenate([own for own, _ in dealt])
    weights = np.concatenate([weights for _, weights in dealt])
    assert len(own) % num_parts == 0
    assert len(own) - num_rows < num_parts
    assert own[weights == 1].tolist() == rows.numpy().tolist()
    assert set(weights.tolist()) <= {0.0, 1.0}
    assert set(own[weights == 0].tolist()) <= {100 + num_rows - 1}


def test_an_example_longer_than_the_budget_is_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"train:2: an example must fit in a batch of 64 tokens\. Received: 8 tokens of the "
        r"source and 72 of the target, padded; 2 example\(s\) are too long in all\. Raise "
        r"batch_tokens to 80 at least",
    ):
        plan_batches(
            np.array([8, 8, 80]),
            np.array([8, 72, 8]),
            batch_tokens=64,
            where=lambda row: f"train:{row + 1}",
        )


def test_padded_lengths_are_few_and_end_at_the_limit() -> None:
    short = [2, 4, 6, 8, 10, 12, 14, 16]
    assert padded_lengths(40).tolist() == [*short, 18, 21, 24, 28, 32, 36, 40]
    assert padded_lengths(3).tolist() == [2, 3]
    assert padded_lengths(1).tolist() == [1]
    lengths = padded_lengths(1024)
    assert lengths[-1] == 1024
    assert len(lengths) == 38
    assert (np.diff(lengths)[8:] / lengths[8:-1] <= 1 / 6).all()
