"""One definition of a step, whatever computes it; and runs that go on where they stopped."""

import numpy as np
import pytest

from bert_tf.training.loop import Evaluation, TrainingInterruptedError, train
from bert_tf.training.metrics import PretrainingObjective
from tests.training.runs import make_run, random_batches, train_and_read


@pytest.mark.parametrize(("num_replicas", "accumulation_steps"), [(2, 1), (4, 1), (1, 4), (2, 2)])
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


def test_the_gradient_is_clipped_once_by_the_norm_of_the_whole_batch(tmp_path):
    seen, _ = train_and_read(make_run(tmp_path, num_replicas=2))
    assert min(step["train/gradient_norm"] for step in seen) > 0.5, "the norm before clipping"


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


def test_a_resume_with_other_settings_is_refused_with_the_difference(tmp_path):
    train(make_run(tmp_path, num_steps=2, settings={"optimizer": {"learning_rate": 0.1}}))
    with pytest.raises(ValueError, match=r"optimizer.learning_rate: was 0.1, is 0.2"):
        train(make_run(tmp_path, num_steps=2, settings={"optimizer": {"learning_rate": 0.2}}))


def test_old_checkpoints_go(tmp_path):
    train(make_run(tmp_path, num_steps=8, training={"keep_checkpoints": 2}))
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.index"))
    assert names == ["step-6.index", "step-8.index"]


def test_a_finished_run_only_evaluates(tmp_path):
    metrics = train(make_run(tmp_path, num_steps=2))
    seen, _ = train_and_read(make_run(tmp_path, num_steps=2))
    assert seen == []
    assert train(make_run(tmp_path, num_steps=2)) == metrics


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


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoints(tmp_path):
    run = make_run(tmp_path, num_steps=50)
    table = run.model.encoder.embeddings.word_embeddings.embeddings
    table.assign(np.full(table.shape, np.inf, np.float32))
    with pytest.raises(FloatingPointError, match=r"loss must be finite. Received: nan at step 1"):
        train(run)
