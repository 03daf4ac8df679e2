"""What would stop a run in its first step, or be trained on unnoticed, stops it before."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig, TrainingConfig
from bert_tf.data.batches.ranges import RangeError
from bert_tf.models.objective import Sums
from bert_tf.training.engine import dry_step, loop
from bert_tf.training.engine.checkpoints import checkpoint_steps
from bert_tf.training.engine.dry_step import OutOfMemoryError, memory_faults_named, with_trials
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.loop import train
from bert_tf.training.engine.loss_scale import LossScale
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.strategy import split_batches
from bert_tf.training.measuring import memory
from bert_tf.training.measuring.memory import StepShape, available_bytes, step_bytes
from tests.training.runs import make_run, random_batches, train_and_read


@pytest.mark.parametrize("num_replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_numbers_of_a_run_are_those_without_a_dry_step(tmp_path, monkeypatch, num_replicas):
    options = {"num_replicas": num_replicas, "num_steps": 3, "dropout": 0.1, "eval_batches": None}
    seen, weights = train_and_read(make_run(tmp_path / "with", **options))

    def untried(make_batches, train_step, *, strategy, **_):
        return iter(split_batches(make_batches, strategy))

    monkeypatch.setattr(loop, "tried_batches", untried)
    expected, expected_weights = train_and_read(make_run(tmp_path / "without", **options))
    for name in ("step", "train/loss", "train/gradient_norm", "train/learning_rate"):
        assert [step[name] for step in seen] == [step[name] for step in expected], name
    for name, value in expected_weights.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)
    for part in ("first_moment", "second_moment"):
        read = [
            tf.train.load_checkpoint(str(tmp_path / name / "checkpoints" / "step-3"))
            for name in ("with", "without")
        ]
        names = [name for name in read[0].get_variable_to_shape_map() if f"{part}/" in name]
        for name in names:
            np.testing.assert_array_equal(read[0].get_tensor(name), read[1].get_tensor(name))


def test_a_dry_step_leaves_the_loss_scale_alone():
    scale = LossScale()
    scale.num_good_steps.assign(1999)
    for is_finite in (True, False):
        is_overflow = scale.update(tf.constant(is_finite), is_dry=tf.constant(True))
        assert bool(is_overflow) is not is_finite
        assert (float(scale.scale), int(scale.num_good_steps)) == (2.0**15, 1999)


def test_the_first_batch_comes_again_and_the_others_once():
    batches = with_trials(lambda: tf.data.Dataset.range(4))()
    expected = [0] * dry_step.NUM_TRIALS + [0, 1, 2, 3]
    assert list(batches.as_numpy_iterator()) == expected


class Hungry(PretrainingObjective):
    """Asks for 400 TB."""

    def sums(self, outputs, batch) -> Sums:
        sums = super().sums(outputs, batch)
        size = tf.cast(tf.reduce_max(batch["input_mask"]), tf.int64) * 10**14
        much = tf.reduce_sum(tf.fill([size], sums.loss["masked_lm"]))
        return sums._replace(loss=sums.loss | {"masked_lm": much})


def test_a_step_that_does_not_fit_says_what_to_lower_before_anything_is_trained(tmp_path):
    logged = []
    run = make_run(
        tmp_path, objective=Hungry(), log_metrics=lambda *metrics: logged.append(metrics)
    )
    with pytest.raises(OutOfMemoryError, match=r"^A step must fit into memory. Received: .*") as e:
        train(run)
    for part in ("accumulation_steps (now 1)", "batch_size (now 8)", "rematerialize=true", "model"):
        assert part in str(e.value)
    assert not logged
    assert not checkpoint_steps(tmp_path / "checkpoints")


def test_only_faults_of_memory_are_taken_for_such():
    @memory_faults_named(TrainingConfig())
    def fail(message: str):
        raise tf.errors.InternalError(None, None, message)

    with pytest.raises(OutOfMemoryError, match="CUBLAS_STATUS_ALLOC_FAILED"):
        fail("Preamble:\nfailed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED")
    with pytest.raises(tf.errors.InternalError):
        fail("another fault")


@pytest.mark.parametrize("is_later_phase", [False, True])
def test_on_a_cpu_too_large_a_batch_is_refused_with_what_would_fit(tmp_path, is_later_phase):
    rows, length = 512, 8192

    def batches(step: int) -> tf.data.Dataset:
        ids = tf.zeros((rows, length), tf.int32)
        return tf.data.Dataset.from_tensors(
            {"input_ids": ids, "input_mask": ids, "segment_ids": ids}
        ).repeat()

    run = make_run(tmp_path, train_batches=batches, training={"batch_size": rows})
    if is_later_phase:
        run = dataclasses.replace(run, phases=make_run(tmp_path).phases + run.phases)
    with pytest.raises(OutOfMemoryError) as refused:
        train(run)
    assert not checkpoint_steps(tmp_path / "checkpoints"), "refused before the first phase"
    found = re.fullmatch(
        r"A step on 512 x 8192 tokens a replica must fit into memory. Received: about (\S+) GiB "
        r"needed besides weights and moments, (\S+) GiB left. Raise training.accumulation_steps "
        r"\(now 1\): (\d+) would take about (\S+) GiB; lower training.batch_size \(now 512\); .*"
        r"set training.rematerialize=true: about (\S+) GiB; or take a smaller model.",
        str(refused.value),
    )
    assert found, refused.value
    needed, left, steps, part = (float(found[number]) for number in range(1, 5))
    assert needed > left >= part
    assert part == pytest.approx(needed / steps, rel=0.1)


def test_the_estimate_grows_with_what_takes_memory():
    config = ModelConfig(size="base", vocab_size=30522)
    options = {
        "num_weights": 110_000_000,
        "bytes_a_number": 4,
        "rematerialize": False,
        "is_accumulating": False,
    }
    shape = StepShape(num_rows=8, length=128, num_predictions=20)
    usual = step_bytes(config, shape, **options)
    # By hand: 12 + 2 layers of 1,024 tokens x (8 x 768 + 2 x 3,072 + 2 x 12 x 128), 5 x the logits
    # of 160 predictions, and the gradients, 4 bytes each.
    by_hand = 4 * (14 * 1024 * 15360 + 5 * 160 * 30522 + 110_000_000)
    assert usual == by_hand
    assert step_bytes(config, shape, **options | {"rematerialize": True}) < 0.6 * usual
    assert step_bytes(config, shape, **options | {"bytes_a_number": 2}) < 0.7 * usual
    assert step_bytes(config, shape._replace(num_rows=16), **options) > 1.5 * usual


def test_the_estimate_counts_both_sides_of_a_decoder():
    config = ModelConfig(
        num_hidden_layers=6,
        num_decoder_layers=4,
        hidden_size=512,
        num_attention_heads=8,
        intermediate_size=2048,
        vocab_size=10_000,
    )
    options = {
        "num_weights": 1_000_000,
        "bytes_a_number": 4,
        "rematerialize": False,
        "is_accumulating": False,
    }
    shape = StepShape(num_rows=16, length=32, num_predictions=0, target_length=64)
    # By hand: 6 encoder layers of 512 tokens; 4 + 2 decoder layers of 1,024, which keep queries,
    # weights and keys of the source besides; 5 x the logits of all target tokens; the gradients.
    encoder_layer = 512 * (8 * 512 + 2 * 2048 + 2 * 8 * 32)
    decoder_layer = 1024 * (12 * 512 + 2 * 2048 + 2 * 8 * (64 + 32)) + 512 * 2 * 512
    by_hand = 6 * encoder_layer + 6 * decoder_layer + 5 * 1024 * 10_000 + 1_000_000
    assert step_bytes(config, shape, **options) == 4 * by_hand
    longer = shape._replace(target_length=128)
    assert step_bytes(config, longer, **options) > 1.7 * 4 * by_hand
    rows = {"input_ids": tf.zeros([16, 32]), "decoder_input_ids": tf.zeros([16, 64])}
    assert dry_step._shape(rows, num_parts=2) == shape._replace(num_rows=8)


@pytest.mark.parametrize(
    ("folder", "limit", "usage", "droppable"),
    [
        (".", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, folder, limit, usage, droppable):
    group = tmp_path / folder
    group.mkdir(exist_ok=True)
    (group / usage).write_text("900\n")
    (group / "memory.stat").write_text(f"anon 7\n{droppable} 50\n")
    (group / limit).write_text("max\n")
    unlimited = available_bytes(tmp_path)
    assert unlimited > 10**8, "the machine's"
    (group / limit).write_text("1000\n")
    assert available_bytes(tmp_path) == 150
    (group / usage).write_text("5000\n")
    assert available_bytes(tmp_path) == 0


def test_own_control_groups_are_looked_at_up_to_the_root():
    lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    own = {line.split(":", 2)[2].strip("/") for line in lines}
    groups = list(memory._own_groups(memory.CGROUPS))
    assert memory.CGROUPS in groups
    assert any(memory.CGROUPS / path in groups for path in own)


def bad_batches(step: int, *, bad_step: int = 2, **values: int) -> tf.data.Dataset:
    """`random_batches`, but for one number in the batch of `bad_step`."""

    def spoil(index, batch):
        is_bad = index + step == bad_step
        return batch | {
            name: tf.where(is_bad, batch[name] * 0 + value, batch[name])
            for name, value in values.items()
        }

    return random_batches(step).enumerate().map(spoil)


@pytest.mark.parametrize(
    ("num_replicas", "name", "value"),
    [(1, "input_ids", 60), pytest.param(2, "masked_lm_positions", -1, marks=pytest.mark.slow)],
)
def test_a_number_that_points_at_nothing_is_never_trained_on(tmp_path, num_replicas, name, value):
    seen = []
    run = make_run(
        tmp_path,
        num_replicas=num_replicas,
        train_batches=lambda step: bad_batches(step, **{name: value}),
        log_metrics=lambda metrics, step: seen.append(step),
        training={"checkpoint_every_steps": 1},
    )
    with pytest.raises(RangeError, match=rf"{name} must be from 0 to \d+. Received: {value}. "):
        train(run)
    assert seen == [1, 2]
    assert checkpoint_steps(tmp_path / "checkpoints") == [1, 2]


def test_evaluation_looks_at_its_numbers_too(tmp_path):
    run = make_run(tmp_path)
    batches = lambda: bad_batches(0, segment_ids=2).take(3)  # noqa: E731
    evaluate = Evaluation(run.model, PretrainingObjective(), batches, strategy=run.strategy)
    with pytest.raises(RangeError, match=r"segment_ids must be from 0 to 1. Received: 2. "):
        evaluate()
