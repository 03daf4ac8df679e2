"""Text infilling: what is masked, by which law, and of what it is a function."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from bert_tf.data.batches.draws import example_draws
from bert_tf.data.batches.infilling import Infilling, infill

MASK = 1_000_000
SEED = (7, 3)
INFILL = tf.function(infill, reduce_retracing=True)


def infilled(
    lengths: list[int],
    *,
    seed: tuple[int, int] = SEED,
    examples: list[int] | None = None,
    **settings: float,
) -> list[list[int]]:
    """Of texts whose tokens are 0, 1, 2, …"""
    tokens = tf.ragged.range(tf.constant(lengths, tf.int32), row_splits_dtype=tf.int64)
    numbers = list(range(len(lengths))) if examples is None else examples
    result = INFILL(
        tokens,
        examples=tf.constant(numbers, tf.int32),
        seed=tf.constant(seed, tf.int64),
        infilling=Infilling(MASK, **settings),
    )
    return result.to_list()


def span_lengths(source: list[int], num_tokens: int) -> list[int]:
    """Tokens that each mask stands for, from the left."""
    before, spans = -1, []
    for place, token in enumerate(source):
        if token == MASK:
            behind = source[place + 1] if place + 1 < len(source) else num_tokens
            spans.append(behind - before - 1)
        else:
            before = token
    return spans


@pytest.mark.parametrize("num_tokens", [0, 1, 2, 3, 5, 10, 37])
@pytest.mark.parametrize(("share", "mean"), [(0.3, 3.0), (0.5, 3.0), (0.5, 1.5), (0.05, 10.0)])
def test_kept_tokens_stay_in_order_and_masks_stand_for_the_others(
    num_tokens: int, share: float, mean: float
) -> None:
    for source in infilled([num_tokens] * 200, share=share, mean_span_tokens=mean):
        kept = [token for token in source if token != MASK]
        assert kept == sorted(set(kept))
        assert set(kept) <= set(range(num_tokens))
        assert len(source) <= num_tokens
        masks = np.flatnonzero(np.array(source) == MASK)
        assert (np.diff(masks) > 1).all()
        num_masked = num_tokens - len(kept)
        assert num_masked in (int(share * num_tokens), int(share * num_tokens) + 1)
        assert sum(span_lengths(source, num_tokens)) == num_masked


@pytest.mark.parametrize("num_tokens", [1, 5, 14, 101])
def test_the_share_of_masked_tokens_is_exact_on_average(num_tokens: int) -> None:
    sources = infilled([num_tokens] * 4000)
    kept = np.array([sum(token != MASK for token in source) for source in sources])
    # Rounding up or down of 0.3 n: a binary variable.
    part = 0.3 * num_tokens % 1
    error = np.sqrt(part * (1 - part) / 4000) / num_tokens
    assert abs(1 - kept.mean() / num_tokens - 0.3) <= 5 * error + 1e-6


@pytest.mark.parametrize("mean", [1.5, 3.0])
def test_lengths_of_spans_follow_poisson(mean: float) -> None:
    # Until the sum is reached, spans are drawn independently. Their order in the text is random, so
    # what is seen of a text is all of its spans but the last that was drawn, which may be cut: it
    # is left out of the law by the expected counts of renewals, computed here by brute force.
    num_texts, num_tokens = 3000, 200
    target = int(0.3 * num_tokens)
    sources = infilled([num_tokens] * num_texts, mean_span_tokens=mean)
    spans = np.concatenate([span_lengths(source, num_tokens) for source in sources])
    probabilities = scipy.stats.poisson.pmf(np.arange(target + 1), mean)
    expected = num_texts * expected_spans(probabilities, target)
    seen = np.bincount(spans, minlength=target + 1).astype(float)
    cells = expected > 50
    seen = np.append(seen[cells], seen[~cells].sum())
    expected = np.append(expected[cells], expected[~cells].sum())
    statistic = ((seen - expected) ** 2 / expected).sum()
    assert scipy.stats.chi2.sf(statistic, len(seen) - 1) > 1e-3
    wrong = num_texts * expected_spans(
        scipy.stats.poisson.pmf(np.arange(target + 1), mean * 1.05), target
    )
    wrong = np.append(wrong[cells], wrong[~cells].sum())
    assert scipy.stats.chi2.sf(((seen - wrong) ** 2 / wrong).sum(), len(seen) - 1) < 1e-6


def expected_spans(probabilities: np.ndarray, target: int) -> np.ndarray:
    """How many spans of each length a text has, drawn until their sum is `target`, the last cut."""
    reached = np.zeros(target + 1)  # how often a sum is met on the way, repeats by zeros counted
    reached[0] = 1.0
    for total in range(target):
        reached[total] /= 1 - probabilities[0]
        for length in range(1, target - total):
            reached[total + length] += reached[total] * probabilities[length]
    counts = np.zeros(target + 1)
    for total in range(target):
        left = target - total
        counts[:left] += reached[total] * probabilities[:left]
        counts[left] += reached[total] * (1 - probabilities[:left].sum())
    return counts


def test_masks_are_in_all_gaps_between_kept_tokens_alike() -> None:
    num_texts = 4000
    sources = infilled([20] * num_texts)
    gaps = np.zeros(15)  # of 14 kept tokens
    for source in sources:
        for number, place in enumerate(np.flatnonzero(np.array(source) == MASK)):
            gaps[place - number] += 1
    expected = gaps.sum() / len(gaps)
    assert scipy.stats.chi2.sf(((gaps - expected) ** 2 / expected).sum(), len(gaps) - 1) > 1e-3


def test_masks_are_a_function_of_seed_epoch_and_example_alone() -> None:
    lengths = [14, 3, 60, 14, 14]
    together = infilled(lengths, examples=[5, 900_000, 2, 5, 6])
    for place, (length, example) in enumerate(zip(lengths, [5, 900_000, 2, 5, 6], strict=True)):
        assert infilled([length], examples=[example]) == [together[place]]
    assert together[0] == together[3] != together[4]
    again = {tuple(infilled([60], examples=[2], seed=seed)[0]) for seed in ((7, 3), (7, 4), (8, 3))}
    assert len(again) == 3


def test_batches_without_texts_and_texts_without_tokens_are_kept() -> None:
    assert infilled([]) == []
    assert infilled([0, 0]) == [[], []]
    assert infilled([0, 10])[0] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.0}, "share of infilling must be above 0 and at most 0.5. Received: 0.0"),
        ({"share": 0.6}, "share of infilling .* Received: 0.6"),
        ({"mean_span_tokens": 0.1}, "mean_span_tokens of infilling must be from 1.5 to 16"),
        ({"mean_span_tokens": 17.0}, "mean_span_tokens of infilling .* Received: 17.0"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Infilling(MASK, **settings).check()


def test_draws_of_an_example_are_its_own_whatever_is_beside_it() -> None:
    seed = tf.constant([1, 2], tf.int64)

    traced = tf.function(example_draws, reduce_retracing=True)

    def draw(examples: list[int], num: int) -> np.ndarray:
        return traced(seed, tf.constant(examples, tf.int32), num=tf.constant(num)).numpy()

    many = draw([3, 0, 9, 3], 50)
    np.testing.assert_array_equal(many[0], many[3])
    np.testing.assert_array_equal(draw([9], 7)[0], many[2, :7])
    values = draw(list(range(2000)), 10)
    assert scipy.stats.kstest(values.ravel(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(values[:-1, 0], values[1:, 0])[0, 1]) < 0.08
    assert len(np.unique(values)) > 19_900
