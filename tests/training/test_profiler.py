"""Traced steps: what TensorBoard gets, and a table that adds up to the step's time."""

import logging
import re

import pytest
import tensorflow as tf

from bert_tf.training.engine.checkpoints import newest_step
from bert_tf.training.engine.loop import TrainingInterruptedError, train
from bert_tf.training.measuring import step_times
from bert_tf.training.measuring.profiled_steps import ProfiledSteps, ProfileRangeError
from bert_tf.training.measuring.profiler import Profiler, open_profiler
from bert_tf.training.measuring.step_times import (
    NOTHING,
    REST,
    Span,
    read_step_times,
    row_of,
    share_time,
)
from tests.training.runs import make_run


@pytest.mark.parametrize("text", ["", "3", "3:", "a:b", "0:2", "4:3", "1:2:3", "-1:2", "1.5:2"])
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(ProfileRangeError, match="must be START:END with 1 <= START <= END"):
        ProfiledSteps.parse(text)


def opened(steps, folder, *, num_steps):
    """The profiler of a run in `folder`, as the stages open it."""
    return open_profiler(steps, folder, first_step=newest_step(folder), num_steps=num_steps)


def test_steps_that_are_not_to_be_trained_are_refused(tmp_path):
    assert opened(None, tmp_path, num_steps=4) is None
    open_profiler(
        ProfiledSteps.parse("1:4"), tmp_path, first_step=newest_step(tmp_path), num_steps=4
    )
    with pytest.raises(ProfileRangeError, match=r"will be trained, 1 to 4. Received: 3:5. Ch"):
        open_profiler(
            ProfiledSteps.parse("3:5"), tmp_path, first_step=newest_step(tmp_path), num_steps=4
        )
    train(make_run(tmp_path, num_steps=2, eval_batches=None))
    open_profiler(
        ProfiledSteps.parse("3:4"), tmp_path, first_step=newest_step(tmp_path), num_steps=4
    )
    with pytest.raises(ProfileRangeError, match=r"will be trained, 3 to 4. Received: 2:4. Ch"):
        open_profiler(
            ProfiledSteps.parse("2:4"), tmp_path, first_step=newest_step(tmp_path), num_steps=4
        )


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.1},
        pytest.param({"accumulation_steps": 2}, marks=pytest.mark.slow),
        pytest.param({"num_replicas": 2}, marks=pytest.mark.slow),
    ],
)
def test_the_table_of_a_profiled_run_adds_up_to_its_steps(tmp_path, caplog, options):
    caplog.set_level(logging.INFO, logger="bert_tf.training.measuring.profiler")
    profiler = open_profiler(
        ProfiledSteps(3, 4), tmp_path, first_step=newest_step(tmp_path), num_steps=5
    )
    profiled = make_run(
        tmp_path,
        num_steps=5,
        profiler=profiler,
        eval_batches=None,
        **options,
    )
    train(profiled)
    (trace,) = (tmp_path / "tensorboard").glob("plugins/profile/*/*.xplane.pb")
    assert trace.stat().st_size > 10_000
    (table,) = [m for m in caplog.messages if m.startswith("Where the time of a step went")]
    assert "wall time of step 3 to 4, traced" in table
    rows = {}
    for line in table.splitlines()[2:]:
        name, *numbers, share = re.split(r"\s{2,}", line.strip())
        rows[name] = ([float(number) for number in numbers], float(share.rstrip("%")) / 100)
    half = rows["layer_0 attention"][0]
    assert len(half) == 3
    assert half[0] > 0
    assert half[1] > 0, "forward and backward apart"
    for name in ("embeddings", "layer_0 feed-forward", "masked_lm", "loss", "optimizer"):
        assert rows[name][0][-1] > 0, name
    (whole,), _ = rows.pop("the step")
    assert sum(times[-1] for times, _ in rows.values()) == pytest.approx(whole, abs=0.1 * len(rows))
    assert sum(share for _, share in rows.values()) == pytest.approx(1.0, abs=0.001 * len(rows))
    assert rows[REST][1] < 0.5  # most is named; how much depends on what runs beside it
    assert NOTHING in rows
    assert "other" not in table


def test_a_run_that_stops_while_it_is_traced_leaves_the_profiler_free(tmp_path):
    profiler = Profiler(ProfiledSteps(1, 4), tmp_path / "tensorboard")
    run = make_run(tmp_path, profiler=profiler, is_stop_requested=lambda: True)
    with pytest.raises(TrainingInterruptedError):
        train(run)
    assert not (tmp_path / "tensorboard").exists()
    tf.profiler.experimental.start(str(tmp_path / "another"))
    tf.profiler.experimental.stop(save=False)


def test_time_goes_to_the_innermost_operation_and_is_shared_between_threads():
    # Thread one: a from 0 to 10 with b inside from 2 to 4. Thread two: c from 8 to 12.
    one, two = [Span(0, 10, "a"), Span(2, 4, "b")], [Span(8, 12, "c")]
    shares = share_time([one, two], [Span(-1, 14, "train")])
    assert dict(shares) == {"a": 2 + 4 + 1, "b": 2, "c": 1 + 2, None: 1 + 2}
    assert sum(shares.values()) == 15
    outside = share_time([one, two], [Span(3, 4, "train"), Span(9, 10, "train")])
    assert dict(outside) == {"b": 1, "a": 0.5, "c": 0.5}, "only what is in a step counts"


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("pretrainer_1/encoder_1/layer_12_1/attention/MatMul_3", ("layer_12 attention", False)),
        ("gradient_tape/p/encoder/layer_0/feed_forward_1/x/MatMul", ("layer_0 feed-forward", True)),
        ("replica_1/pretrainer/encoder/embeddings/dropout/x", ("embeddings", False)),
        ("gradient_tape/replica_1/pretrainer/masked_lm/x", ("masked_lm", True)),
        ("optimizer/cond/then/_0/optimizer/cond/update_0/ResourceApplyAdam", ("optimizer", False)),
        ("clip_by_global_norm/mul_1", ("optimizer", False)),
        ("classifier/head/dense/x", ("head", False)),
        ("s/decoder/layer_3/cross_attention/x", ("decoder layer_3 cross-attention", False)),
        ("gradient_tape/s/decoder/layer_3_1/attention_1/x", ("decoder layer_3 attention", True)),
        ("s/decoder/layer_0/feed_forward/output/x", ("decoder layer_0 feed-forward", False)),
        ("gradient_tape/s/output/MatMul", ("output", True)),
        ("gradient_tape/loss_1/x", ("loss", True)),
        ("AddN_3", (REST, False)),
        (None, (NOTHING, False)),
    ],
)
def test_names_of_operations_say_which_row_they_belong_to(name, row):
    assert row_of(name) == row


def test_a_folder_without_a_trace_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"a trace must hold a step. Received: 0 trace\(s\)"):
        read_step_times(tmp_path)


def test_rows_stand_as_a_batch_passes_through_them():
    times = step_times.StepTimes(1.0, {})
    for row in ("loss", "layer_10 attention", "embeddings", "rest", "layer_2 attention"):
        times.by_row[row, False] = 0.2
    names = [line.split("  ")[0] for line in step_times.describe(times, title="T").splitlines()]
    expected = ["embeddings", "layer_2 attention", "layer_10 attention", "loss", "rest", "the step"]
    assert names[2:] == expected
