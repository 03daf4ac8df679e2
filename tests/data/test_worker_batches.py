"""Workers and replicas see together exactly the batches that one device would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import MaskingConfig
from bert_tf.data import records
from bert_tf.data.batches import epochs, masked_batches
from bert_tf.data.batches.draws import Draws
from bert_tf.training.engine.strategy import make_strategy, split_batches

UNITS = ("token", "word", "ngram", "span")
MakeBatches = Callable[..., tf.data.Dataset]


def training(records_dir: Path, *, unit: Any = "token", **options: int) -> tf.data.Dataset:
    masking = MaskingConfig(max_predictions_per_seq=6, unit=unit)
    batches = masked_batches.training_batches(
        records_dir, batch_size=16, masking=masking, seed=3, start_step=2, **options
    )
    return batches.take(3)


def evaluation(records_dir: Path, **options: int) -> tf.data.Dataset:
    return masked_batches.evaluation_batches(
        records_dir,
        batch_size=8,
        masking=MaskingConfig(max_predictions_per_seq=6),
        seed=3,
        **options,
    )


def read_workers(make_batches: MakeBatches, *, num_workers: int) -> list[dict[str, np.ndarray]]:
    """Each step's rows of all workers one after the other."""
    workers = [
        make_batches(num_workers=num_workers, worker_index=index).as_numpy_iterator()
        for index in range(num_workers)
    ]
    return [join(parts) for parts in zip(*workers, strict=True)]


def join(parts: Any) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_equal_batches(first: list[Any], second: list[Any]) -> None:
    assert len(first) == len(second) > 1
    for left, right in zip(first, second, strict=True):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


class PipelineOfMany:
    """What a strategy of several input pipelines asks of one of them."""

    def __init__(self, index: int, *, num_pipelines: int, num_replicas: int):
        self._context = tf.distribute.InputContext(num_pipelines, index, num_replicas)

    def distribute_datasets_from_function(
        self, make: Callable[[tf.distribute.InputContext], tf.data.Dataset]
    ) -> tf.data.Dataset:
        return make(self._context)


@pytest.mark.parametrize(
    ("num_workers", "unit"), [(1, "token"), (4, "token"), *((2, unit) for unit in UNITS)]
)
def test_workers_read_together_exactly_what_one_would(
    records_dir: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int, unit: str
) -> None:
    monkeypatch.setattr(epochs, "SHUFFLE_WINDOW", 20)

    def make(**worker: int) -> tf.data.Dataset:
        return training(records_dir, unit=unit, **worker)

    assert_equal_batches(
        read_workers(make, num_workers=num_workers), list(make().as_numpy_iterator())
    )


def test_workers_share_batches_across_the_end_of_an_epoch(records_dir: Path) -> None:
    num_examples = records.read_manifest(records_dir).num_examples("train")
    assert num_examples % 10, "else no batch holds two epochs"

    def make(**worker: int) -> tf.data.Dataset:
        batches = masked_batches.training_batches(
            records_dir,
            batch_size=10,
            masking=MaskingConfig(max_predictions_per_seq=6),
            seed=3,
            start_step=num_examples // 10 - 1,
            **worker,
        )
        return batches.take(3)

    assert_equal_batches(read_workers(make, num_workers=2), list(make().as_numpy_iterator()))


def test_workers_evaluate_together_exactly_what_one_would(records_dir: Path) -> None:
    def make(**worker: int) -> tf.data.Dataset:
        return evaluation(records_dir, **worker)

    whole = list(make().as_numpy_iterator())
    assert whole[-1]["masked_lm_weights"][-1].sum() == 0, "the last batch is filled up"
    assert_equal_batches(read_workers(make, num_workers=2), whole)


@pytest.mark.parametrize("num_replicas", [1, 2, 4])
@pytest.mark.parametrize("make", [training, evaluation])
def test_replicas_see_together_exactly_what_one_would(
    records_dir: Path, make: MakeBatches, num_replicas: int
) -> None:
    strategy = make_strategy(num_logical_devices=num_replicas)
    seen = [
        {
            name: np.concatenate([part.numpy() for part in strategy.experimental_local_results(x)])
            for name, x in batch.items()
        }
        for batch in split_batches(lambda: make(records_dir), strategy)
    ]
    assert_equal_batches(seen, list(make(records_dir).as_numpy_iterator()))


@pytest.mark.parametrize("make", [training, evaluation])
def test_input_pipelines_deal_each_step_to_their_replicas_in_order(
    records_dir: Path, make: MakeBatches
) -> None:
    pipelines = [
        split_batches(
            lambda **worker: make(records_dir, **worker),
            PipelineOfMany(index, num_pipelines=2, num_replicas=4),
        )
        for index in range(2)
    ]
    whole = list(make(records_dir).as_numpy_iterator())
    of_replicas = [list(pipeline.batch(2).as_numpy_iterator()) for pipeline in pipelines]
    seen = [
        {name: np.concatenate([*first[name], *second[name]]) for name in first}
        for first, second in zip(*of_replicas, strict=True)
    ]
    assert_equal_batches(seen, whole)
    assert len(of_replicas[0][0]["input_ids"][0]) == len(whole[0]["input_ids"]) // 4


@pytest.mark.parametrize(
    ("num_workers", "worker_index", "message"),
    [
        (3, 0, r"multiple of num_workers\. Received: batch_size=16, num_workers=3"),
        (2, 2, r"worker_index must be from 0 to num_workers - 1 = 1\. Received: 2"),
    ],
)
def test_workers_that_cannot_share_a_batch_are_refused(
    records_dir: Path, num_workers: int, worker_index: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        training(records_dir, num_workers=num_workers, worker_index=worker_index)


@pytest.mark.parametrize("shape", [(8, 128), (5, 7), (4, 3, 6), (3, 1)])
def test_rows_draw_what_the_whole_batch_would_give_them(shape: tuple[int, ...]) -> None:
    seed = tf.constant([7, 2**62], tf.int64)
    uniform = tf.random.stateless_uniform(shape, seed).numpy()
    integers = tf.random.stateless_uniform(shape, seed, minval=0, maxval=999, dtype=tf.int32)
    for first_row in range(shape[0]):
        rows = tf.constant([shape[0] - first_row, *shape[1:]])
        draws = Draws(seed, first_row)
        np.testing.assert_array_equal(draws.uniform(rows), uniform[first_row:])
        np.testing.assert_array_equal(draws.integers(rows, limit=999), integers[first_row:])
