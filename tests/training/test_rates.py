"""What a run is measured by: real tokens, arithmetic, and what the devices reach."""

import time

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.cli.progress import describe_progress
from bert_tf.data.batches.row_packing import pack_batches
from bert_tf.models.flops import training_flops
from bert_tf.training.engine.loop import Progress, train
from bert_tf.training.engine.strategy import make_strategy
from bert_tf.training.measuring import matrix_rate as rates
from bert_tf.training.measuring.matrix_rate import matrix_rate
from bert_tf.training.measuring.workload import workload
from tests.training.runs import BATCH, HEAD_FLOPS, LENGTH, PREDICTIONS, make_run, random_batches


@pytest.mark.parametrize(
    ("num_replicas", "accumulation_steps"), [(1, 2), pytest.param(2, 1, marks=pytest.mark.slow)]
)
def test_rates_follow_from_the_batches_and_the_measured_time(
    tmp_path, num_replicas, accumulation_steps
):
    seen, shown = {}, []
    run = make_run(
        tmp_path,
        num_replicas=num_replicas,
        accumulation_steps=accumulation_steps,
        num_steps=4,
        eval_batches=None,
        training={"log_every_steps": 2},
        log_metrics=lambda metrics, step: seen.update({step: metrics}),
        on_progress=shown.append,
    )
    train(run)
    masks = [batch["input_mask"].sum() for batch in random_batches(0).take(4).as_numpy_iterator()]
    flops = training_flops(
        run.model.config,
        num_rows=BATCH,
        length=LENGTH,
        num_predictions=BATCH * PREDICTIONS,
        num_sequences=BATCH,
        head_flops=HEAD_FLOPS,
    )
    rate = matrix_rate(run.strategy, dtype="float32")
    assert list(seen) == [2, 4]
    for step, metrics in seen.items():
        seconds = 2 * metrics["train/seconds_per_step"]
        tokens = metrics["train/real_tokens_per_second"] * seconds
        assert tokens == pytest.approx(sum(masks[step - 2 : step]), rel=1e-6)
        share = metrics["train/model_flops_utilization"]
        assert share * rate * seconds == pytest.approx(2 * flops, rel=1e-5)
        assert 0.0 < share < 1.0
        assert "train/num_flops" not in metrics
    line = describe_progress(shown[-1])
    for part in ("loss ", "masked_lm ", "lr ", " sequences/s", " real tokens/s", "MFU "):
        assert part in line


def test_a_line_without_a_finished_step_says_what_it_can():
    progress = Progress(2, 9, 12.0, {"loss": float("nan"), "sequences_per_second": 12.0})
    assert describe_progress(progress) == "loss nan, 12.0 sequences/s"


def test_packed_rows_count_as_computed_and_tokens_as_they_are(tmp_path):
    model = make_run(tmp_path).model
    padded = random_batches(0).take(1).map(first_four)
    packed = pack_batches(padded, num_parts=1, masked_lm_prob=0.75, pad_id=0)
    amounts = {
        name: tf.function(lambda batch: workload(model, batch, head_flops=HEAD_FLOPS))
        for name in ("padded", "packed")
    }
    (before,) = (amounts["padded"](batch) for batch in padded)
    ((batch, after),) = ((batch, amounts["packed"](batch)) for batch in packed)
    assert float(after["num_real_tokens"]) == float(before["num_real_tokens"])
    num_rows, num_sequences = batch["sequence_positions"].shape
    expected = training_flops(
        model.config,
        num_rows=num_rows,
        length=LENGTH,
        num_predictions=num_rows * batch["masked_lm_ids"].shape[1],
        num_sequences=num_rows * num_sequences,
        head_flops=HEAD_FLOPS,
    )
    assert num_rows < BATCH
    assert float(after["num_flops"]) == pytest.approx(expected, rel=1e-6)


def first_four(batch):
    """The batch with sequences of four tokens: three of them fill a row."""
    is_token = tf.cast(tf.range(LENGTH) < 4, tf.int32) * tf.ones([BATCH, 1], tf.int32)
    return batch | {
        "input_mask": is_token,
        "masked_lm_positions": batch["masked_lm_positions"] % 4,
    }


def test_lengths_that_differ_from_batch_to_batch_are_counted_while_training(tmp_path):
    model = make_run(tmp_path).model
    spec = {name: tf.TensorSpec([8, None], tf.int32) for name in ("input_ids", "input_mask")}
    count = tf.function(
        lambda batch: workload(model, batch, head_flops=HEAD_FLOPS), input_signature=[spec]
    )
    for length in (8, 16):
        ids = np.ones((8, length), np.int32)
        expected = training_flops(
            model.config,
            num_rows=8,
            length=length,
            num_predictions=0,
            num_sequences=8,
            head_flops=HEAD_FLOPS,
        )
        found = count({"input_ids": ids, "input_mask": ids})
        assert float(found["num_flops"]) == pytest.approx(expected, rel=1e-6)


def test_the_matrix_rate_is_that_of_a_product_and_measured_once(caplog):
    rates._measure.cache_clear()
    caplog.set_level("INFO", logger=rates.__name__)
    started_at = time.perf_counter()
    one = matrix_rate(make_strategy(num_logical_devices=1), dtype="float32")
    first = time.perf_counter() - started_at
    assert matrix_rate(make_strategy(num_logical_devices=1), dtype="float32") == one
    assert time.perf_counter() - started_at - first < first
    (line,) = caplog.messages
    assert line.startswith("Matrix rate: ")
    matrix = tf.random.normal([1024, 1024])
    tf.matmul(matrix, matrix).numpy()
    times = []
    for _ in range(5):
        started_at = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        times.append(time.perf_counter() - started_at)
    # A factor for what else the machine does at the time.
    assert 0.2 < one / (2 * 1024**3 / min(times)) < 5.0
