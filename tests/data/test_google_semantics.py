"""Our pairs and masks against Google's own code on the same documents, by fixed-seed statistics.

Reference: tf-models-official, official/nlp/data/create_pretraining_data.py. Every comparison is a
two-sample test (chi-square of counts, Kolmogorov-Smirnov of lengths) that must give p > 1e-3.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from bert_tf.config import ExamplesConfig, MaskingConfig
from bert_tf.data.batches.masking import mask_tokens
from bert_tf.data.preparation.sentence_pairs import make_pairs
from bert_tf.data.preparation.token_block import TokenBlock

Row = list[int]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, CLS, SEP, MASK = 0, 2, 3, 4
# Every third piece goes on with a word.
VOCABULARY = SPECIAL + [f"##{id}" if id % 3 == 2 else f"w{id}" for id in range(5, 400)]
IS_CONTINUATION = [token.startswith("##") for token in VOCABULARY]
LEAST_P = 1e-3
MAX_SEQ_LENGTH = 64
SLOW = pytest.mark.slow


@pytest.fixture
def google() -> Iterator[Any]:
    """Google's module. It draws n-gram lengths from Python's global generator."""
    from official.nlp.data import create_pretraining_data

    state = random.getstate()
    random.seed(11)
    yield create_pretraining_data
    random.setstate(state)


def make_documents(num_documents: int) -> list[list[Row]]:
    """Sentences of unique numbers, a document's in order, so that a token tells where it stood."""
    draw = random.Random(5)
    documents = []
    for number in range(num_documents):
        position = number * 10_000
        sentences = []
        for _ in range(draw.randint(1, 12)):
            length = draw.randint(1, 40)
            sentences.append(list(range(position, position + length)))
            position += length
        documents.append(sentences)
    return documents


def google_pairs(google: Any, documents: list[list[Row]]) -> list[tuple[Row, Row, bool]]:
    rng = random.Random(2)
    texts = [
        [[str(token) for token in sentence] for sentence in document] for document in documents
    ]
    pairs = []
    for index in range(len(texts)):
        for instance in google.create_instances_from_document(
            texts, index, MAX_SEQ_LENGTH, 0.1, 0.0, 1, ["0"], rng
        ):
            for position, label in zip(
                instance.masked_lm_positions, instance.masked_lm_labels, strict=True
            ):
                instance.tokens[position] = label  # Google masks here; take it back.
            end = instance.tokens.index("[SEP]")
            first, second = instance.tokens[1:end], instance.tokens[end + 1 : -1]
            pairs.append(([*map(int, first)], [*map(int, second)], instance.is_random_next))
    return pairs


def our_pairs(documents: list[list[Row]]) -> list[tuple[Row, Row, bool]]:
    config = ExamplesConfig(max_seq_length=MAX_SEQ_LENGTH)
    block = TokenBlock.from_lists(documents)
    ids = block.ids.tolist()
    pairs = make_pairs(block, config=config, rng=np.random.default_rng(1))
    return [(ids[a:b], ids[c:d], bool(label)) for a, b, c, d, label in zip(*pairs, strict=True)]


def assert_same_counts(*samples: Counter[Any]) -> None:
    """Chi-square test that samples are of one distribution; rare kinds are counted together."""
    kinds = sorted(set().union(*samples), key=str)
    table = np.array([[sample[kind] for kind in kinds] for sample in samples])
    is_rare = table.sum(axis=0) < 20
    table = np.column_stack([table[:, ~is_rare], table[:, is_rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    assert table.shape[1] > 1
    assert stats.chi2_contingency(table, correction=False).pvalue > LEAST_P, table


def assert_same_lengths(left: Sequence[int], right: Sequence[int]) -> None:
    """Kolmogorov-Smirnov test."""
    assert stats.ks_2samp(left, right).pvalue > LEAST_P


@pytest.mark.parametrize("num_documents", [1000, pytest.param(30_000, marks=SLOW)])
def test_pairs_have_googles_labels_lengths_and_truncation(google: Any, num_documents: int) -> None:
    documents = make_documents(num_documents)
    bounds = {sentence[0] for document in documents for sentence in document}
    last = {sentence[-1] for document in documents for sentence in document}
    ours, googles = our_pairs(documents), google_pairs(google, documents)
    assert len(ours) == pytest.approx(len(googles), rel=0.02 if num_documents > 2000 else 0.05)
    assert_same_counts(*(Counter(is_random for _, _, is_random in p) for p in (ours, googles)))
    for label in (False, True):
        for part in (0, 1):
            of_ours, of_googles = (
                [pair[part] for pair in pairs if pair[2] == label] for pairs in (ours, googles)
            )
            assert_same_lengths([*map(len, of_ours)], [*map(len, of_googles)])
            # Where a part was cut: at the front, at the back, at both ends, nowhere.
            assert_same_counts(
                *(
                    Counter((part[0] in bounds, part[-1] in last) for part in parts)
                    for parts in (of_ours, of_googles)
                )
            )
        assert_same_lengths(
            *([len(p[0]) + len(p[1]) for p in pairs if p[2] == label] for pairs in (ours, googles))
        )


def make_rows(num_rows: int) -> list[Row]:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(num_rows):
        first, second = (
            rng.integers(6, len(VOCABULARY), rng.integers(1, 60)).tolist() for _ in "AB"
        )
        rows.append([CLS, *first, SEP, *second, SEP])
    return rows


def our_masks(
    rows: list[Row], *, seed: int = 3, **settings: Any
) -> list[tuple[Row, tuple[int, ...]]]:
    """For each row its ids with masks, and the chosen positions."""
    width = max(map(len, rows))
    ids = tf.constant([row + [PAD] * (width - len(row)) for row in rows])
    masked = mask_tokens(
        ids,
        tf.cast(ids != PAD, tf.int32),
        config=MaskingConfig.model_validate(settings),
        seed=tf.constant([seed, 0], tf.int64),
        vocab_size=len(VOCABULARY),
        special_ids=(PAD, CLS, SEP, MASK),
        mask_id=MASK,
        is_continuation=IS_CONTINUATION,
    )
    masked = {name: values.numpy() for name, values in masked.items()}
    return [
        (
            masked["input_ids"][number, : len(row)].tolist(),
            tuple(masked["masked_lm_positions"][number][masked["masked_lm_weights"][number] == 1]),
        )
        for number, row in enumerate(rows)
    ]


def google_masks(
    google: Any,
    rows: list[Row],
    *,
    unit: str = "token",
    max_predictions_per_seq: int = 20,
    max_ngram_words: int = 3,
    masked_lm_prob: float = 0.15,
) -> list[tuple[Row, tuple[int, ...]]]:
    rng = random.Random(4)
    ids = {token: id for id, token in enumerate(VOCABULARY)}
    masks = []
    for row in rows:
        tokens, positions, _ = google.create_masked_lm_predictions(
            [VOCABULARY[id] for id in row],
            masked_lm_prob,
            max_predictions_per_seq,
            VOCABULARY,
            rng,
            unit != "token",
            max_ngram_words if unit == "ngram" else None,
        )
        masks.append(([ids[token] for token in tokens], tuple(positions)))
    return masks


def replacements(rows: list[Row], masks: list[tuple[Row, tuple[int, ...]]]) -> Counter[str]:
    """What stands at chosen positions. A random token is [MASK] or the old one once in 400."""
    counts: Counter[str] = Counter()
    for row, (now, positions) in zip(rows, masks, strict=True):
        for position in positions:
            is_kept = now[position] == row[position]
            counts["mask" if now[position] == MASK else "kept" if is_kept else "random"] += 1
    return counts


@pytest.mark.parametrize("num_rows", [1000, pytest.param(20_000, marks=SLOW)])
def test_chosen_tokens_and_replacements_are_googles(google: Any, num_rows: int) -> None:
    rows = make_rows(num_rows)
    ours, googles = our_masks(rows), google_masks(google, rows)
    assert [len(p) for _, p in ours] == [len(p) for _, p in googles], (
        "the count is no matter of chance"
    )
    assert_same_counts(replacements(rows, ours), replacements(rows, googles))
    # Eighths of a sequence: no place is preferred.
    places = (
        Counter(8 * p // len(row) for row, (_, ps) in zip(rows, masks, strict=True) for p in ps)
        for masks in (ours, googles)
    )
    assert_same_counts(*places)
    drawn = [
        now[p]
        for row, (now, ps) in zip(rows, ours, strict=True)
        for p in ps
        if now[p] not in (MASK, row[p])
    ]
    assert stats.kstest(np.array(drawn) / len(VOCABULARY), "uniform").pvalue > LEAST_P


@pytest.mark.parametrize("unit", ["word", "ngram"])
@pytest.mark.parametrize("num_rows", [1000, pytest.param(20_000, marks=SLOW)])
def test_counts_of_whole_words_and_replacements_are_googles(
    google: Any, unit: str, num_rows: int
) -> None:
    rows = make_rows(num_rows)
    ours, googles = our_masks(rows, unit=unit), google_masks(google, rows, unit=unit)
    assert_same_counts(*(Counter(len(ps) for _, ps in masks) for masks in (ours, googles)))
    # Google throws one coin a word, ours one a piece: equal where words have one piece.
    rows = [[CLS, *(id - (id % 3 == 2) for id in row[1:-1] if id > MASK), SEP] for row in rows]
    ours, googles = our_masks(rows, unit=unit), google_masks(google, rows, unit=unit)
    if unit == "word":
        assert_same_counts(replacements(rows, ours), replacements(rows, googles))


# Words of 1, 2, 1, 3 and 1 pieces, [SEP], and of 2, 1 and 2.
SHORT_ROW = [CLS, 6, 7, 8, 9, 10, 11, 11, 12, SEP, 13, 14, 15, 16, 17, SEP]


@pytest.mark.parametrize(
    ("unit", "num_predictions"),
    [("token", 1), ("token", 2), *itertools.product(["word", "ngram"], [1, 3, 5])],
)
@pytest.mark.parametrize("num_rows", [5000, pytest.param(100_000, marks=SLOW)])
def test_every_choice_of_positions_is_as_likely_as_with_google(
    google: Any, unit: str, num_predictions: int, num_rows: int
) -> None:
    rows = [SHORT_ROW] * num_rows
    settings = {
        "unit": unit,
        "max_predictions_per_seq": num_predictions,
        "masked_lm_prob": 0.4,
        "max_ngram_words": 3,
    }
    ours, googles = our_masks(rows, **settings), google_masks(google, rows, **settings)
    assert_same_counts(*(Counter(ps for _, ps in masks) for masks in (ours, googles)))


def plain_span_masks(num_rows: int, *, num_predictions: int) -> list[tuple[Row, tuple[int, ...]]]:
    """The rule of `unit: span`, word for word, on SHORT_ROW: spans of SpanBERT, cut to words."""
    rng = random.Random(6)
    words = [[1], [2, 3], [4], [5, 6, 7], [8], None, [10, 11], [12], [13, 14]]
    shares = [0.8**n for n in range(10)]
    masks = []
    for _ in range(num_rows):
        chosen: list[int] = []
        anchors = [number for number, word in enumerate(words) if word]
        rng.shuffle(anchors)
        for anchor in anchors:
            if words[anchor][0] in chosen or len(chosen) + len(words[anchor]) > num_predictions:
                continue
            (num_words,) = rng.choices(range(1, 11), shares)
            for word in words[anchor : anchor + num_words]:
                if word is None:
                    break
                if word[0] in chosen:
                    continue
                if len(chosen) + len(word) > num_predictions:
                    break
                chosen += word
        masks.append((SHORT_ROW, tuple(sorted(chosen))))
    return masks


@pytest.mark.parametrize("num_predictions", [1, 3, 5])
@pytest.mark.parametrize("num_rows", [5000, pytest.param(100_000, marks=SLOW)])
def test_every_choice_of_spans_is_as_likely_as_by_the_plain_rule(
    num_predictions: int, num_rows: int
) -> None:
    ours = our_masks(
        [SHORT_ROW] * num_rows,
        unit="span",
        masked_lm_prob=0.4,
        max_predictions_per_seq=num_predictions,
    )
    plain = plain_span_masks(num_rows, num_predictions=num_predictions)
    assert_same_counts(*(Counter(ps for _, ps in masks) for masks in (ours, plain)))
