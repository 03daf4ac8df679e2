"""One definition of a step, whatever computes it; and runs that go on where they stopped."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.training.engine.checkpoints import checkpoint_steps
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.loop import TrainingInterruptedError, train
from bert_tf.training.engine.objective import PretrainingObjective
from tests.training.runs import make_run, random_batches, train_and_read


@pytest.mark.parametrize(
    ("num_replicas", "accumulation_steps"),
    [
        (2, 1),
        pytest.param(4, 1, marks=pytest.mark.slow),
        (1, 4),
        pytest.param(2, 2, marks=pytest.mark.slow),
    ],
)
def test_loss_gradient_and_update_do_not_depend_on_how_a_step_is_split(
    tmp_path, num_replicas, accumulation_steps
):
    expected, expected_weights = train_and_read(make_run(tmp_path / "one"))
    seen, weights = train_and_read(
        make_run(
            tmp_path / "split", num_replicas=num_replicas, accumulation_steps=accumulation_steps
        )
    )
    for name in ("train/loss", "train/gradient_norm", "train/masked_lm_accuracy"):
        np.testing.assert_allclose(
            [step[name] for step in seen], [step[name] for step in expected], rtol=1e-4
        )
    for name, value in expected_weights.items():
        # Adam divides by the root of the second moment: where a gradient is only rounding,
        # its sign decides. 1e-3 is a twentieth of what two steps may move a weight.
        np.testing.assert_allclose(weights[name], value, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_the_gradient_is_clipped_once_by_the_norm_of_the_whole_batch(tmp_path, num_replicas):
    seen, _ = train_and_read(make_run(tmp_path, num_replicas=num_replicas, num_steps=1))
    assert seen[0]["train/gradient_norm"] > 0.5, "before clipping to 0.5"
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "step-1"))
    names = [name for name in reader.get_variable_to_shape_map() if "first_moment/" in name]
    squares = [np.sum(np.square(reader.get_tensor(name))) for name in names]
    # After one step the first moment is (1 - beta_1) times the clipped gradient.
    assert np.sqrt(np.sum(squares)) == pytest.approx(0.1 * 0.5, rel=1e-4)


def test_resumed_run_equals_uninterrupted_run_bit_by_bit(tmp_path):
    expected, expected_weights = train_and_read(
        make_run(tmp_path / "whole", num_steps=6, dropout=0.1)
    )
    calls = 0

    def stop_after_three() -> bool:
        nonlocal calls
        calls += 1
        return calls == 3

    first = make_run(
        tmp_path / "parts", num_steps=6, dropout=0.1, is_stop_requested=stop_after_three
    )
    with pytest.raises(TrainingInterruptedError, match="Stopped after step 3 of 6"):
        train(first)
    seen, weights = train_and_read(make_run(tmp_path / "parts", num_steps=6, dropout=0.1))
    assert [step["step"] for step in seen] == [4, 5, 6]
    assert [step["train/loss"] for step in seen] == [step["train/loss"] for step in expected[3:]]
    for name, value in expected_weights.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    train(make_run(tmp_path, num_steps=4))
    for path in (tmp_path / "checkpoints").glob("step-4.data*"):
        path.write_bytes(b"damaged")
    seen, _ = train_and_read(make_run(tmp_path, num_steps=4))
    assert [step["step"] for step in seen] == [3, 4]
    assert "a checkpoint must be whole" in caplog.text


def test_only_damaged_checkpoints_are_an_error(tmp_path):
    train(make_run(tmp_path, num_steps=2))
    for path in (tmp_path / "checkpoints").glob("*.data*"):
        path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"at least one checkpoint must be whole. Received: 1"):
        train(make_run(tmp_path, num_steps=2))


def test_the_best_checkpoint_stays_and_averages_are_evaluated_and_left_in_the_model(tmp_path):
    def start(**options):
        training = {
            "optimizer": OptimizerConfig(learning_rate=0.5, warmup_share=0.0, ema_decay=0.5),
            "evaluate_every_steps": 1,
            "checkpoint_every_steps": 100,
            "keep_checkpoints": 1,
            "keep_best": "loss",
        }
        return make_run(tmp_path, num_steps=3, training=training, **options)

    losses = {}

    def note(metrics, step):
        if "eval/loss" in metrics:
            losses[step] = metrics["eval/loss"]

    run = start(log_metrics=note)
    metrics = train(run)
    assert list(losses) == [1, 2, 3]
    assert metrics["loss"] == losses[3]
    best = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert best == {"metric": "loss", "step": best["step"], "value": min(losses.values())}
    assert losses[best["step"]] == best["value"]
    assert checkpoint_steps(tmp_path / "checkpoints") == sorted({best["step"], 3})

    def evaluate(model):
        batches = lambda: random_batches(5000).take(3)  # noqa: E731
        return Evaluation(model, PretrainingObjective(), batches, strategy=run.strategy)()

    assert evaluate(run.model) == metrics, "the metrics are those of the model that is left"
    again = start()
    assert train(again) == metrics, "a finished run only evaluates"


def test_an_evaluation_that_an_interruption_left_out_is_made_up(tmp_path):
    logged: dict[int, dict[str, float]] = {}
    evaluated = []

    def note(metrics, step):
        logged.setdefault(step, {}).update(metrics)
        evaluated.extend([step] * ("eval/loss" in metrics))

    def start(*, stops_at=None):
        training = {"evaluate_every_steps": 1, "checkpoint_every_steps": 1, "keep_best": "loss"}
        return make_run(
            tmp_path,
            num_steps=3,
            training=training,
            log_metrics=note,
            logged=lambda step: logged.get(step, {}),
            is_stop_requested=lambda: max(logged, default=0) == stops_at,
        )

    with pytest.raises(TrainingInterruptedError):
        train(start(stops_at=1))
    assert evaluated == []
    train(start())
    assert evaluated == [1, 2, 3]
    best = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert best["value"] == min(logged[step]["eval/loss"] for step in evaluated)


def test_a_run_that_was_killed_after_its_last_step_ends_as_one_that_was_not(tmp_path):
    logged: dict[int, dict[str, float]] = {}
    options = {
        "num_steps": 2,
        "eval_batches": None,
        "training": {"checkpoint_every_steps": 1, "keep_checkpoints": 1},
        "log_metrics": lambda metrics, step: logged.update({step: metrics}),
        "logged": lambda step: logged.get(step, {}),
    }
    expected = train(make_run(tmp_path, **options))
    assert expected["loss"] == logged[2]["train/loss"]
    directory = tmp_path / "checkpoints"
    names = sorted(path.name for path in directory.iterdir())
    (directory / ".step-2.tmp").mkdir()  # while a checkpoint was written
    (directory / "step-1.data-00000-of-00001").touch()  # while an old one was deleted
    assert train(make_run(tmp_path, **options)) == expected
    assert sorted(path.name for path in directory.iterdir()) == names


def test_best_needs_data_and_a_metric_of_the_evaluation(tmp_path):
    training = {"keep_best": "accuracy"}
    with pytest.raises(ValueError, match="keep_best needs held-out data"):
        train(make_run(tmp_path, training=training, eval_batches=None))


def test_evaluation_does_not_depend_on_the_number_of_replicas(tmp_path):
    results = []
    for num_replicas in (1, 4):
        run = make_run(tmp_path / str(num_replicas), num_replicas=num_replicas)
        results.append(
            Evaluation(
                run.model,
                PretrainingObjective(),
                lambda: random_batches(0).take(3),
                strategy=run.strategy,
            )()
        )
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        assert results[1][name] == pytest.approx(value, rel=1e-5), name


def test_steps_that_are_not_finite_are_skipped_and_a_run_of_them_stops_the_job(tmp_path, caplog):
    def batches(step: int) -> tf.data.Dataset:
        def spoil(index, batch):
            index += step
            is_bad = tf.cast((index == 1) | (index >= 4), tf.float32)
            return batch | {"masked_lm_weights": batch["masked_lm_weights"] / (1.0 - is_bad)}

        return random_batches(step).enumerate().map(spoil)

    training = {"log_every_steps": 2, "checkpoint_every_steps": 1, "max_skipped_steps": 3}
    run = make_run(tmp_path, num_steps=50, train_batches=batches, training=training)
    seen = []
    object.__setattr__(run, "log_metrics", lambda metrics, step: seen.append(metrics))
    with pytest.raises(
        FloatingPointError,
        match=r"must be finite. Received: others in 3 steps in "
        r"a row, up to step 7; .*checkpoints holds the last good checkpoint",
    ):
        train(run)
    assert checkpoint_steps(tmp_path / "checkpoints") == [1, 3, 4], "none while steps are skipped"
    assert [metrics["train/skipped_steps"] for metrics in seen] == [1, 1, 3]
    assert np.isfinite([metrics["train/loss"] for metrics in seen[:2]]).all()
    assert "train/loss" not in seen[2], "no step of the window was done"
    assert "Step 2 was skipped: its loss or gradient is not finite." in caplog.text
    assert all(np.isfinite(weight.numpy()).all() for weight in run.model.weights)


def test_bfloat16_trains_close_to_float32(tmp_path):
    exact, _ = train_and_read(make_run(tmp_path / "exact", num_steps=3))
    low, weights = train_and_read(make_run(tmp_path / "low", num_steps=3, dtype="mixed_bfloat16"))
    for one, other in zip(exact, low, strict=True):
        assert other["train/loss"] == pytest.approx(one["train/loss"], rel=0.02)
    assert all(weight.dtype == np.float32 for weight in weights.values())
