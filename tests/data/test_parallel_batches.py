"""Batches of sources and targets: what they hold, however they are dealt."""

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.batches.encoded_pairs import (
    EncodedPairs,
    Framing,
    HeldTokens,
    PairLimits,
    encode_infilling,
    encode_pairs,
)
from bert_tf.data.batches.infilling import Infilling
from bert_tf.data.batches.parallel import budget_plan, budgeted_batches
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.training.engine.strategy import split_batches

BUDGET = 64


def place(row: int) -> str:
    return f"train.txt:{row + 1}"


def framing_of(tokenizer: Tokenizer) -> Framing:
    cls_id, sep_id = tokenizer.cls_id, tokenizer.sep_id
    return Framing(tokenizer.pad_id, cls_id, sep_id, (cls_id,), (sep_id,))


def make_pairs(num: int = 60) -> tuple[list[str], list[str]]:
    """No two alike."""
    sources = [" ".join(["cat"] * (1 + row * 7 % 11)) + f" {row}" for row in range(num)]
    return sources, [f"{row} " + " ".join(["dog"] * (1 + row * 5 % 13)) for row in range(num)]


def encode(
    sources: list[str], targets: list[str], tokenizer: Tokenizer, **limits: Any
) -> EncodedPairs:
    return encode_pairs(
        HeldTokens.of(sources, tokenizer),
        HeldTokens.of(targets, tokenizer),
        framing=framing_of(tokenizer),
        limits=PairLimits(**{"max_source_length": 24, "max_target_length": 24, **limits}),
        where=place,
    )


@pytest.fixture
def encoded(tokenizer: Tokenizer) -> EncodedPairs:
    return encode(*make_pairs(), tokenizer)


def training(encoded: EncodedPairs, **options: Any) -> tf.data.Dataset:
    return budgeted_batches(
        encoded, **{"batch_tokens": BUDGET, "is_training": True, "seed": 3, **options}
    )


def contents(batch: dict[str, np.ndarray]) -> Counter:
    """The rows of a batch that count, without their padding."""
    found: Counter = Counter()
    for row in np.flatnonzero(batch["weights"]):
        num_source = batch["input_mask"][row].sum()
        num_target = int(batch["label_weights"][row].sum())
        cut = {"input_ids": num_source, "decoder_input_ids": num_target, "labels": num_target}
        parts = (tuple(batch[name][row, :length].tolist()) for name, length in cut.items())
        found[(int(batch["rows"][row]), *parts)] += 1
    return found


def test_a_batch_is_what_a_decoder_learns_from(tokenizer: Tokenizer) -> None:
    encoded = encode(["cat dog"], ["dog cat house"], tokenizer)
    (batch,) = budgeted_batches(encoded, batch_tokens=8, is_training=False).as_numpy_iterator()
    cat, dog, house = tokenizer.tokenize(["cat dog house"]).to_list()[0]
    cls_id, sep_id = tokenizer.cls_id, tokenizer.sep_id
    assert batch["input_ids"].tolist() == [[cls_id, cat, dog, sep_id]]
    assert batch["input_mask"].tolist() == [[1, 1, 1, 1]]
    assert batch["segment_ids"].tolist() == [[0, 0, 0, 0]]
    assert batch["decoder_input_ids"].tolist() == [[cls_id, dog, cat, house]]
    assert batch["labels"].tolist() == [[dog, cat, house, sep_id]]
    assert batch["label_weights"].tolist() == [[1, 1, 1, 1]]
    dtypes = {name: values.dtype for name, values in batch.items()}
    assert {name for name, dtype in dtypes.items() if dtype == np.float32} == {
        "label_weights",
        "weights",
    }
    assert set(dtypes.values()) == {np.dtype(np.int32), np.dtype(np.float32)}


def test_control_tokens_in_texts_are_text(tokenizer: Tokenizer) -> None:
    text = "[MASK] [SEP] cat [CLS] [PAD] <s> </s>"
    encoded = encode([text], [text], tokenizer, max_source_length=64, max_target_length=64)
    (batch,) = budgeted_batches(encoded, batch_tokens=64, is_training=False).as_numpy_iterator()
    ids = batch["input_ids"][batch["input_mask"] > 0].tolist()
    labels = batch["labels"][batch["label_weights"] > 0].tolist()
    assert (ids[0], ids[-1], labels[-1]) == (
        tokenizer.cls_id,
        tokenizer.sep_id,
        tokenizer.sep_id,
    )
    assert not set(tokenizer.special_ids) & {*ids[1:-1], *labels[:-1]}
    assert len(labels) > 20


def test_padding_counts_for_nothing(encoded: EncodedPairs) -> None:
    for batch in training(encoded).take(30).as_numpy_iterator():
        assert (batch["input_ids"][batch["input_mask"] == 0] == 0).all()
        assert (batch["labels"][batch["label_weights"] == 0] == 0).all()
        assert (batch["input_mask"][:, 0] == 1).all()
        num_rows = len(batch["rows"])
        assert batch["labels"].shape == batch["decoder_input_ids"].shape
        assert num_rows * max(batch["input_ids"].shape[1], batch["labels"].shape[1]) <= BUDGET


def test_each_epoch_has_every_pair_once(encoded: EncodedPairs) -> None:
    num_batches = budget_plan(encoded, batch_tokens=BUDGET).num_batches
    batches = list(training(encoded).take(2 * num_batches).as_numpy_iterator())
    once: Counter = sum(
        map(
            contents,
            budgeted_batches(encoded, batch_tokens=BUDGET, is_training=False).as_numpy_iterator(),
        ),
        Counter(),
    )
    assert len(once) == len(encoded) == 60
    for epoch in range(2):
        of_epoch = batches[epoch * num_batches : (epoch + 1) * num_batches]
        assert sum(map(contents, of_epoch), Counter()) == once


def test_training_is_positioned_at_any_step(tokenizer: Tokenizer) -> None:
    limits = PairLimits(24, 24)
    texts = make_pairs()[0]
    infilled = encode_infilling(
        HeldTokens.of(texts, tokenizer),
        framing=framing_of(tokenizer),
        limits=limits,
        infilling=Infilling(tokenizer.mask_id),
        seed=9,
        where=place,
    )
    for encoded, starts in ((encode(*make_pairs(), tokenizer), (13, 41)), (infilled, (41,))):
        everything = list(training(encoded).take(44).as_numpy_iterator())
        for start in starts:
            again = training(encoded, start_step=start).take(3).as_numpy_iterator()
            for left, right in zip(again, everything[start:], strict=False):
                assert left.keys() == right.keys()
                for name in left:
                    np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize(("num_replicas", "accumulation_steps"), [(1, 3), (2, 1), (4, 2)])
def test_replicas_and_micro_batches_share_the_same_rows(
    encoded: EncodedPairs, num_replicas: int, accumulation_steps: int
) -> None:
    expected = [contents(batch) for batch in training(encoded).take(40).as_numpy_iterator()]
    strategy = tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(num_replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    num_parts = num_replicas * accumulation_steps
    batches = iter(
        split_batches(
            lambda **worker: training(encoded, num_parts=num_parts, **worker),
            strategy,
            is_endless=True,
        )
    )
    for step in range(40):
        dealt = [
            {name: values.numpy() for name, values in batch.items()}
            for batch in zip_replicas(next(batches), strategy)
        ]
        assert len({len(batch["rows"]) for batch in dealt}) == 1
        assert len(dealt[0]["rows"]) % accumulation_steps == 0
        assert sum(map(contents, dealt), Counter()) == expected[step]


def zip_replicas(batch: Any, strategy: tf.distribute.Strategy) -> list[dict[str, tf.Tensor]]:
    values = {name: strategy.experimental_local_results(value) for name, value in batch.items()}
    return [
        dict(zip(values, of_replica, strict=True))
        for of_replica in zip(*values.values(), strict=True)
    ]


@pytest.mark.parametrize("num_parts", [2, 6])
def test_workers_share_the_same_rows_and_the_weight_of_all_labels(
    encoded: EncodedPairs, num_parts: int
) -> None:
    whole = list(training(encoded).take(30).as_numpy_iterator())
    workers = [
        list(
            training(encoded, num_parts=num_parts, num_workers=2, worker_index=index)
            .take(30)
            .as_numpy_iterator()
        )
        for index in range(2)
    ]
    for batch, *dealt in zip(whole, *workers, strict=True):
        assert sum(map(contents, dealt), Counter()) == contents(batch)
        assert sum(own["label_weights"].sum() for own in dealt) == batch["label_weights"].sum()
    with pytest.raises(ValueError, match="must be a multiple of num_workers"):
        training(encoded, num_parts=3, num_workers=2)


def test_long_texts_are_cut_and_counted(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    sources, targets = ["cat " * 9, "dog", "cat " * 4], ["dog " * 5, "dog " * 6, "cat"]
    encoded = encode(sources, targets, tokenizer, max_source_length=6, max_target_length=6)
    assert encoded.cut == (1, 1)
    assert "Cut at the end, of 3 pairs: 1 sources to 4 tokens, 1 targets to 5." in caplog.text
    cat, dog = tokenizer.tokenize(["cat dog"]).to_list()[0]
    batches = budgeted_batches(encoded, batch_tokens=18, is_training=False).as_numpy_iterator()
    found = {
        row: (source, labels) for row, source, _, labels in sum(map(contents, batches), Counter())
    }
    frame = (tokenizer.cls_id, tokenizer.sep_id)
    # A target that was cut does not end.
    assert found == {
        0: ((frame[0], *[cat] * 4, frame[1]), (*[dog] * 5, frame[1])),
        1: ((frame[0], dog, frame[1]), (dog,) * 5),
        2: ((frame[0], *[cat] * 4, frame[1]), (cat, frame[1])),
    }
    caplog.clear()
    encode(sources, targets, tokenizer)
    assert not caplog.text


def test_long_texts_are_refused_on_request(tokenizer: Tokenizer) -> None:
    targets = ["dog", "dog " * 6]
    with pytest.raises(
        ValueError,
        match=r"train\.txt:2: a target must have 5 tokens at most\. Received: 6; 1 are too long in "
        r"all, the longest of 6\.",
    ):
        encode(["cat", "cat"], targets, tokenizer, max_target_length=6, too_long="error")
    with pytest.raises(ValueError, match=r"train\.txt:2: a source must have 4 tokens at most"):
        encode(targets, ["cat", "cat"], tokenizer, max_source_length=6, too_long="error")


def test_what_cannot_be_batched_is_refused(encoded: EncodedPairs, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"train\.txt:\d+: an example must fit in a batch of 8 "):
        training(encoded, batch_tokens=8)
    with pytest.raises(ValueError, match="training batches need a seed"):
        training(encoded, seed=None)
    with pytest.raises(ValueError, match=r"leave room for a token .* which leave 0 and 7"):
        encode(["cat"], ["dog"], tokenizer, max_source_length=2, max_target_length=8)


def test_infilled_sources_are_new_each_epoch_and_their_targets_are_the_texts(
    tokenizer: Tokenizer,
) -> None:
    texts = [" ".join(["cat", "dog", "house"] * (2 + row % 5)) for row in range(40)]
    encoded = encode_infilling(
        HeldTokens.of(texts, tokenizer),
        framing=framing_of(tokenizer),
        limits=PairLimits(24, 18),
        infilling=Infilling(tokenizer.mask_id),
        seed=9,
        where=place,
    )
    assert encoded.cut.num_sources == encoded.cut.num_targets == 8  # of 18 tokens
    num_batches = budget_plan(encoded, batch_tokens=BUDGET).num_batches
    drawn: dict[int, set] = {}
    num_masked = 0
    for batch in training(encoded).take(4 * num_batches).as_numpy_iterator():
        assert batch["input_ids"].size <= BUDGET
        for (row, source, _, labels), _ in contents(batch).items():
            target = [token for token in labels if token != tokenizer.sep_id]
            assert target == tokenizer.tokenize([texts[row]]).to_list()[0][:17]
            assert (labels[-1] == tokenizer.sep_id) == (len(texts[row].split()) <= 17)
            inner = source[1:-1]
            assert len(inner) <= len(target)
            kept = [token for token in inner if token != tokenizer.mask_id]
            num_masked += len(target) - len(kept)
            drawn.setdefault(row, set()).add(source)
    assert len(drawn) == 40
    assert np.mean([len(sources) for sources in drawn.values()]) > 3
    num_tokens = 4 * sum(min(len(text.split()), 17) for text in texts)
    assert abs(num_masked / num_tokens - 0.3) < 0.03


def test_multi30k_has_little_padding_and_every_pair_once(shared_data: Path) -> None:
    lines = [
        gzip.decompress((shared_data / f"en/multi30k/train.{side}.gz").read_bytes())
        .decode()
        .splitlines()
        for side in ("en", "de")
    ]
    tokenizer = WordPieceTokenizer(
        learn_vocabulary(
            ["\n".join(side[:4000]) for side in lines],
            config=VocabularyConfig(size=4000),
            tokenizer=TokenizerConfig(lower_case=False),
        ),
        lower_case=False,
    )
    encoded = encode(*lines, tokenizer, max_source_length=128, max_target_length=128)
    assert encoded.cut == (0, 0)
    plan = budget_plan(encoded, batch_tokens=4096)
    assert 120 < plan.num_batches < 180
    seen: list[int] = []
    num_real = num_padded = 0
    shapes = set()
    for batch in training(encoded, batch_tokens=4096).take(plan.num_batches).as_numpy_iterator():
        seen += batch["rows"].tolist()
        num_real += int(batch["input_mask"].sum() + batch["label_weights"].sum())
        num_padded += batch["input_ids"].size + batch["labels"].size
        shapes.add((batch["input_ids"].shape, batch["labels"].shape))
        assert max(batch["input_ids"].size, batch["labels"].size) <= 4096
    assert sorted(seen) == list(range(29_000))
    assert 1 - num_real / num_padded < 0.08
    assert len(shapes) < 70
