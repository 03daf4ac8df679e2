from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import MaskingConfig
from bert_tf.data.masking import mask_tokens

PAD, CLS, SEP, MASK = 0, 2, 3, 4
VOCAB_SIZE = 1000
SEED = (7, 1)


def make_input(lengths: list[int], *, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """[CLS] 10 11 … [SEP] and padding; `lengths` counts both specials."""
    ids = np.zeros([len(lengths), width], np.int32)
    for row, length in enumerate(lengths):
        ids[row, :length] = [CLS, *range(10, 8 + length), SEP]
    mask = np.arange(width) < np.array(lengths)[:, None]
    return tf.constant(ids), tf.constant(mask.astype(np.int32))


def mask(
    lengths: list[int], *, width: int = 128, seed: tuple[int, int] = SEED, **settings: Any
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    ids, input_mask = make_input(lengths, width=width)
    masked = mask_tokens(
        ids,
        input_mask,
        config=MaskingConfig.model_validate(settings),
        seed=tf.constant(seed, tf.int64),
        vocab_size=VOCAB_SIZE,
        special_ids=(PAD, CLS, SEP, MASK),
        mask_id=MASK,
    )
    return ids.numpy(), {name: values.numpy() for name, values in masked.items()}


def test_counts_are_googles() -> None:
    lengths = [3, 4, 10, 30, 63, 64, 128, 2]
    _, masked = mask(lengths, max_predictions_per_seq=15)
    # round(.45) = 0 -> 1, .6 -> 1, 1.5 -> 2, 4.5 -> 4 (half to even), 9.45, 9.6, 19.2 -> limit;
    # nothing but [CLS] and [SEP] leaves nothing to choose.
    assert masked["masked_lm_weights"].sum(axis=1).tolist() == [1, 1, 2, 4, 9, 10, 15, 0]


def test_only_chosen_positions_change_and_ids_are_the_originals() -> None:
    ids, masked = mask([5, 60, 128], mask_share=1.0, random_share=0.0)
    for row in range(3):
        used = masked["masked_lm_weights"][row] == 1
        positions = masked["masked_lm_positions"][row]
        assert (np.diff(positions[used]) > 0).all()
        assert (positions[~used] == 0).all()
        assert (masked["masked_lm_ids"][row][~used] == 0).all()
        np.testing.assert_array_equal(masked["masked_lm_ids"][row][used], ids[row, positions[used]])
        expected = ids[row].copy()
        expected[positions[used]] = MASK
        np.testing.assert_array_equal(masked["input_ids"][row], expected)


def test_specials_and_padding_are_never_chosen_even_at_the_highest_rate() -> None:
    ids, masked = mask([20, 9], width=24, masked_lm_prob=0.99, max_predictions_per_seq=30)
    assert masked["masked_lm_weights"].sum(axis=1).tolist() == [18, 7]
    assert masked["masked_lm_positions"].shape == (2, 30)
    assert set(masked["masked_lm_ids"][masked["masked_lm_weights"] == 1]) <= set(range(10, 40))
    assert (masked["input_ids"][ids == PAD] == PAD).all()


def test_rate_0_keeps_the_input() -> None:
    ids, masked = mask([60, 128], mask_share=0.0, random_share=0.0)
    np.testing.assert_array_equal(masked["input_ids"], ids)
    assert masked["masked_lm_weights"].sum() == 9 + 19


def test_shares_of_mask_random_and_kept_and_of_each_position() -> None:
    _, masked = mask([128] * 4000, mask_share=0.7, random_share=0.2)
    used = masked["masked_lm_weights"] == 1
    now = np.take_along_axis(masked["input_ids"], masked["masked_lm_positions"], axis=1)[used]
    was = masked["masked_lm_ids"][used]
    num_chosen = used.sum()
    assert num_chosen == 4000 * 19
    # A random token is the old one or [MASK] once in VOCAB_SIZE. Five standard deviations: .009.
    assert (now == MASK).mean() == pytest.approx(0.7, abs=0.009)
    assert (now == was).mean() == pytest.approx(0.1, abs=0.009)
    drawn = now[(now != MASK) & (now != was)]
    assert drawn.size / num_chosen == pytest.approx(0.2, abs=0.009)
    assert drawn.min() < 5, "control tokens are drawn, too: the whole vocabulary"
    assert drawn.max() > VOCAB_SIZE - 5
    assert drawn.mean() == pytest.approx((VOCAB_SIZE - 1) / 2, abs=12)
    chosen = np.bincount(masked["masked_lm_positions"][used], minlength=128)
    assert chosen[0] == chosen[127] == 0
    expected = num_chosen / 126
    assert np.abs(chosen[1:127] - expected).max() < 5 * np.sqrt(expected)


def test_masks_are_a_pure_function_of_the_seed() -> None:
    tf.random.set_seed(1)
    _, first = mask([128] * 4)
    tf.random.set_seed(2)
    _, again = mask([128] * 4)
    _, next_step = mask([128] * 4, seed=(7, 2))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert (first["masked_lm_positions"] != next_step["masked_lm_positions"]).any()


def test_rows_have_masks_of_their_own_and_the_graph_gives_the_same() -> None:
    ids, input_mask = make_input([128] * 4, width=128)

    @tf.function
    def in_graph(seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return mask_tokens(
            ids,
            input_mask,
            config=MaskingConfig(),
            seed=seed,
            vocab_size=VOCAB_SIZE,
            special_ids=(PAD, CLS, SEP, MASK),
            mask_id=MASK,
        )

    _, eager = mask([128] * 4)
    graph = in_graph(tf.constant(SEED, tf.int64))
    for name, values in eager.items():
        np.testing.assert_array_equal(values, graph[name])
    assert len({tuple(row) for row in eager["masked_lm_positions"]}) == 4
