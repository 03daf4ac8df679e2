from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import MaskingConfig, load_config
from bert_tf.data.batches.masking import mask_tokens
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer

PAD, CLS, SEP, MASK = 0, 2, 3, 4  # As in CONTROL_TOKENS, where 1 is [UNK].
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


WORD_UNITS = ("word", "ngram", "span")
# Half of the pieces go on with a word; 12, 18, 24 … do not.
IS_CONTINUATION = [id >= 10 and id % 6 in (2, 4, 5) for id in range(VOCAB_SIZE)]


def mask_words(
    ids: list[list[int]], *, seed: tuple[int, int] = SEED, **settings: Any
) -> dict[str, np.ndarray]:
    """`ids` are padded with 0; all that is not 0 is a token."""
    width = max(map(len, ids))
    padded = np.array([row + [PAD] * (width - len(row)) for row in ids], np.int32)
    masked = mask_tokens(
        tf.constant(padded),
        tf.constant((padded != PAD).astype(np.int32)),
        config=MaskingConfig.model_validate(settings),
        seed=tf.constant(seed, tf.int64),
        vocab_size=VOCAB_SIZE,
        special_ids=(PAD, CLS, SEP, MASK),
        mask_id=MASK,
        is_continuation=IS_CONTINUATION,
    )
    return {name: values.numpy() for name, values in masked.items()}


def words_of(row: list[int]) -> list[list[int]]:
    """Positions of each word of a sequence."""
    words: list[list[int]] = []
    for position, token in enumerate(row):
        if token in (PAD, CLS, SEP, MASK):
            continue
        if IS_CONTINUATION[token] and words and words[-1][-1] == position - 1:
            words[-1].append(position)
        else:
            words.append([position])
    return words


def pair_rows(num_rows: int, *, seed: int = 0) -> list[list[int]]:
    """[CLS] A [SEP] B [SEP] of random tokens and lengths."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(num_rows):
        first, second = (rng.integers(10, VOCAB_SIZE, rng.integers(1, 40)).tolist() for _ in "AB")
        rows.append([CLS, *first, SEP, *second, SEP])
    return rows


def budget_of(row: list[int], *, limit: int = 20) -> int:
    return min(limit, max(1, round(len(row) * 0.15)))


def chosen(masked: dict[str, np.ndarray], row: int) -> list[int]:
    used = masked["masked_lm_weights"][row] == 1
    return masked["masked_lm_positions"][row][used].tolist()


@pytest.mark.parametrize("unit", WORD_UNITS)
def test_words_are_chosen_whole_within_the_budget_and_specials_never(unit: str) -> None:
    rows = pair_rows(300)
    masked = mask_words(rows, unit=unit, mask_share=1.0, random_share=0.0)
    for number, row in enumerate(rows):
        positions = chosen(masked, number)
        assert positions == sorted(set(positions))
        words = [word for word in words_of(row) if set(word) & set(positions)]
        assert [position for word in words for position in word] == positions
        left = budget_of(row) - len(positions)
        assert left >= 0
        free = [word for word in words_of(row) if not set(word) & set(positions)]
        assert all(len(word) > left for word in free), "a word that fits is chosen"
        expected = [MASK if i in positions else token for i, token in enumerate(row)]
        assert masked["input_ids"][number, : len(row)].tolist() == expected
        assert (masked["input_ids"][number, len(row) :] == PAD).all()
        labels = masked["masked_lm_ids"][number][: len(positions)].tolist()
        assert labels == [row[position] for position in positions]


@pytest.mark.parametrize("unit", WORD_UNITS)
def test_a_word_that_exceeds_the_budget_is_passed_over(unit: str) -> None:
    # The budget of 13 tokens is 2: the word of 9 never fits, that of 1 always does.
    row = [CLS, 10, 14, 14, 14, 14, 14, 14, 14, 14, SEP, 12, SEP]
    # Nothing fits; nothing is there; a word that was cut at the front is one, too.
    others = [[CLS, 10, 14, 14, SEP], [CLS, SEP], [CLS, 14, SEP]]
    masked = mask_words([*others, *[row] * 20], unit=unit)
    assert [chosen(masked, number) for number in range(23)] == [[], [], [1], *[[11]] * 20]


@pytest.mark.parametrize("unit", WORD_UNITS)
def test_word_units_are_a_function_of_the_seed_in_eager_and_in_the_graph(unit: str) -> None:
    ids, input_mask = make_input([128] * 4, width=128)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([2], tf.int64),
        ]
    )
    def in_graph(ids: tf.Tensor, input_mask: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return mask_tokens(
            ids,
            input_mask,
            config=MaskingConfig(unit=unit),
            seed=seed,
            vocab_size=VOCAB_SIZE,
            special_ids=(PAD, CLS, SEP, MASK),
            mask_id=MASK,
            is_continuation=IS_CONTINUATION,
        )

    rows = ids.numpy().tolist()
    eager, next_step = mask_words(rows, unit=unit), mask_words(rows, unit=unit, seed=(7, 2))
    graph = in_graph(ids, input_mask, tf.constant(SEED, tf.int64))
    for name, values in eager.items():
        np.testing.assert_array_equal(values, graph[name])
        assert graph[name].dtype == values.dtype
    assert (eager["masked_lm_positions"] != next_step["masked_lm_positions"]).any()
    assert len({tuple(row) for row in eager["masked_lm_positions"]}) == 4
    one = in_graph(ids[:1], input_mask[:1], tf.constant(SEED, tf.int64))
    assert one["masked_lm_positions"].shape == (1, 20)


def test_units_of_one_piece_words_spend_the_whole_budget() -> None:
    row = [CLS, *range(12, 12 + 6 * 98, 6), SEP]
    for unit in WORD_UNITS:
        weights = mask_words([row] * 50, unit=unit)["masked_lm_weights"]
        assert (weights.sum(axis=1) == 15).all()


def runs_of(positions: list[int]) -> list[int]:
    """Lengths of runs of neighbouring positions."""
    gaps = np.flatnonzero(np.diff(positions) != 1)
    return np.diff([0, *(gaps + 1), len(positions)]).tolist()


def test_ngrams_of_n_words_have_a_weight_of_1_over_n() -> None:
    # A budget of 3 in 200 words: the first n-gram is drawn from lengths 1 to 3 freely.
    row = [CLS, *[12] * 200, SEP]
    masked = mask_words([row] * 4000, unit="ngram", max_predictions_per_seq=3)
    counts = np.zeros(4)
    for number in range(4000):
        counts[max(runs_of(chosen(masked, number)))] += 1
    # The first draw is 3 with 2/11. After a 1 (6/11) and a 2 (3/11) only 1 and 2 fit: 2 with 1/3.
    # Runs of one, two and three words by chance side by side: below 2 %.
    expected = np.array([6 / 11 * 2 / 3, 6 / 11 / 3 + 3 / 11, 2 / 11])
    np.testing.assert_allclose(counts[1:] / 4000, expected, atol=0.04)


def test_spans_have_geometric_lengths() -> None:
    # A budget of 10 in 500 words: the first span alone takes all of it where it has ten words.
    row = [CLS, *[12] * 500, SEP]
    masked = mask_words([row] * 3000, unit="span", max_predictions_per_seq=10)
    num_whole = sum(runs_of(chosen(masked, number)) == [10] for number in range(3000))
    # Others touch by chance in about one of a hundred.
    assert num_whole / 3000 == pytest.approx(0.8**9 * 0.2 / (1 - 0.8**10), abs=0.02)


@pytest.mark.parametrize(("unit", "share"), [("span", 0.2625), ("word", 0.5)])
def test_a_span_is_replaced_as_one_and_words_token_by_token(unit: str, share: float) -> None:
    # Both words are chosen, as one span when the first is drawn first (1/2) with a length of two
    # or more (19/20). Half of the others have one of the two masked.
    settings = {"masked_lm_prob": 0.5, "mask_share": 0.5, "random_share": 0.0}
    uniform = {"span_stop_prob": 1e-6, "max_span_words": 20}
    masked = mask_words([[CLS, 12, 12, SEP]] * 4000, unit=unit, **settings, **uniform)
    assert (masked["masked_lm_weights"].sum(axis=1) == 2).all()
    num_masked = (masked["input_ids"] == MASK).sum(axis=1)
    assert np.mean(num_masked == 1) == pytest.approx(share, abs=0.035)


def test_a_row_is_masked_alike_whatever_stands_in_the_others() -> None:
    rows = pair_rows(20)
    width = max(map(len, rows))
    for unit in ("token", *WORD_UNITS):
        together = mask_words(rows, unit=unit)
        alone = mask_words([*([PAD] * width for _ in range(19)), rows[19]], unit=unit)
        for name, values in together.items():
            np.testing.assert_array_equal(values[19], alone[name][19])


def test_eojeols_are_chosen_whole_but_for_punctuation() -> None:
    tokens = [*CONTROL_TOKENS, "나무", "##가", "##를", "보", "##았", "##다", ".", "3"]
    text = "나무가 나무를 보았다. 3.나무가"
    ids = WordPieceTokenizer(tokens).tokenize([text])[0].numpy().tolist()
    names = [tokens[id] for id in ids]
    assert names == [
        "나무",
        "##가",
        "나무",
        "##를",
        "보",
        "##았",
        "##다",
        ".",
        "3",
        ".",
        "나무",
        "##가",
    ]
    row = tf.constant([[2, *ids, 3]] * 200)
    masked = mask_tokens(
        row,
        tf.ones_like(row),
        config=MaskingConfig(unit="word", masked_lm_prob=0.25),
        seed=tf.constant(SEED, tf.int64),
        vocab_size=len(tokens),
        special_ids=(PAD, CLS, SEP, MASK),
        mask_id=MASK,
        is_continuation=[token.startswith("##") for token in tokens],
    )
    words = [{1, 2}, {3, 4}, {5, 6, 7}, {8}, {9}, {10}, {11, 12}]
    masked = {name: values.numpy() for name, values in masked.items()}
    seen: set[int] = set()
    for number in range(200):
        positions = set(chosen(masked, number))
        assert positions == set().union(*(word for word in words if word & positions))
        seen |= positions
    assert seen == set(range(1, 13))


def test_a_unit_of_words_needs_to_know_the_words() -> None:
    with pytest.raises(
        ValueError, match=r"masking\.unit=word needs .* 1000 tokens .*Received: none"
    ):
        mask([10], unit="word")


@pytest.mark.parametrize(("name", "split"), [("notes_split", (0.1, 0.1)), ("demo", (0.8, 0.1))])
def test_shipped_splits_of_mask_and_random(name: str, split: tuple[float, float]) -> None:
    path = Path(__file__).parents[2] / "pipelines" / "configs" / f"{name}.yaml"
    masking = load_config(path).masking
    assert (masking.mask_share, masking.random_share) == split
