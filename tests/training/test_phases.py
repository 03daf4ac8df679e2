"""Pretraining in two phases: one model, one optimizer, other records."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from bert_tf.config import Config, OptimizerConfig, load_config, validate_config
from bert_tf.data.batches.opened_records import open_prepared
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.training.engine.checkpoints import checkpoint_steps
from bert_tf.training.optimizers import learning_rate_at, make_schedule
from bert_tf.training.stages.phases import open_phases
from bert_tf.training.stages.pretraining import pretrain
from tests.training.letters import WORDS, write_documents

SHORT, LONG = 16, 32


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One text, prepared at two lengths, and at one with another vocabulary."""
    folder = tmp_path_factory.mktemp("phases")
    draw = random.Random(0)
    write_documents(folder / "text.txt", draw)
    for name, length, letters in (("short", SHORT, WORDS), ("long", LONG, WORDS), ("x", 16, "abc")):
        tokens = "\n".join([PAD, UNK, CLS, SEP, MASK, *letters])
        (folder / f"{letters}.txt").write_text(tokens + "\n", encoding="utf-8")
        tree = {
            "corpus": {"paths": [str(folder / "text.txt")], "held_out_share": 0.2},
            "tokenizer": {"vocabulary": str(folder / f"{letters}.txt")},
            "examples": {"max_seq_length": length},
            "records": {"num_shards": 1, "num_workers": 1},
        }
        prepare_records(validate_config(tree), folder / name)
    return folder


def make_config(work: Path, *phases: dict[str, Any], **pretraining: Any) -> Config:
    two = (
        {"records": str(work / "short"), "num_train_steps": 4, "batch_size": 8},
        {"records": str(work / "long"), "num_train_steps": 3, "max_predictions_per_seq": 5},
    )
    training = {"batch_size": 4, "precision": "float32", "evaluate_every_steps": None}
    training |= {"log_every_steps": 1, "checkpoint_every_steps": 2}
    training |= {"optimizer": {"learning_rate": 0.01}} | pretraining.pop("training", {})
    return validate_config(
        {
            "masking": {"max_predictions_per_seq": 3},
            "model": {
                "num_hidden_layers": 1,
                "hidden_size": 8,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "max_position_embeddings": LONG,
            },
            "pretraining": {"phases": phases or two, "training": training, **pretraining},
            "tracking": {"enabled": False},
        }
    )


@pytest.mark.flows
def test_the_second_phase_goes_on_with_longer_sequences(work: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, float]] = []
    metrics = pretrain(
        make_config(work),
        tmp_path,
        on_progress=lambda p: steps.append((p.step, p.metrics["learning_rate"])),
    )
    assert [step for step, _ in steps] == [1, 2, 3, 4, 5, 6, 7]
    whole = OptimizerConfig(learning_rate=0.01, warmup_share=0.01)
    expected = learning_rate_at(tf.range(7), config=whole, num_steps=7)
    np.testing.assert_allclose([rate for _, rate in steps], expected, rtol=1e-6)
    reader = tf.train.load_checkpoint(str(tmp_path / "checkpoints" / "step-7"))
    assert reader.get_tensor("num_updates/.ATTRIBUTES/VARIABLE_VALUE") == 7
    # Positions from 16 on have their first gradients in the second phase.
    before, after = (position_moments(tmp_path, step) for step in (4, 7))
    assert np.all(before[:SHORT] > 0)
    assert np.all(before[SHORT:] == 0)
    assert np.all(after > 0)
    assert (
        metrics["unigram_entropy"]
        == open_prepared(work / "long", masking=make_config(work).masking).baselines()[
            "unigram_entropy"
        ]
    ), "measured on the records of the last phase"


def position_moments(folder: Path, step: int) -> np.ndarray:
    """Of each position's embedding, the size of its first moment in a checkpoint."""
    reader = tf.train.load_checkpoint(str(folder / "checkpoints" / f"step-{step}"))
    (name,) = (
        name
        for name in reader.get_variable_to_shape_map()
        if "position_embeddings" in name and "first_moment/" in name
    )
    return np.abs(reader.get_tensor(name)).sum(axis=1)


@pytest.mark.parametrize("stops_after", [4, pytest.param(6, marks=pytest.mark.slow)])
def test_a_run_stopped_in_either_phase_ends_as_if_never_stopped(
    work: Path, tmp_path: Path, stops_after: int, whole_run: dict[str, np.ndarray]
) -> None:
    calls = 0

    def is_stop_requested() -> bool:
        nonlocal calls
        calls += 1
        return calls == stops_after

    with pytest.raises(TrainingInterruptedError, match=f"after step {stops_after} of 7"):
        pretrain(make_config(work), tmp_path, is_stop_requested=is_stop_requested)
    pretrain(make_config(work), tmp_path)
    for name, value in load_file(tmp_path / "model.safetensors").items():
        np.testing.assert_array_equal(value, whole_run[name], err_msg=name)


@pytest.fixture(scope="module")
def whole_run(work: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("whole")
    pretrain(make_config(work), folder)
    return load_file(folder / "model.safetensors")


def test_each_phase_has_its_own_size_draws_and_predictions(work: Path) -> None:
    first, second = open_phases(make_config(work))
    batches = [next(phase.train_batches(0).as_numpy_iterator()) for phase in (first, second)]
    assert [batch["input_ids"].shape for batch in batches] == [(8, SHORT), (4, LONG)]
    assert [batch["masked_lm_ids"].shape[1] for batch in batches] == [3, 5]


@pytest.mark.flows
def test_only_the_last_phase_may_grow(work: Path, tmp_path: Path) -> None:
    pretrain(make_config(work), tmp_path)
    short, long = make_config(work).pretraining.phases
    grown = make_config(
        work, short.model_dump(), long.model_copy(update={"num_train_steps": 4}).model_dump()
    )
    pretrain(grown, tmp_path)
    assert checkpoint_steps(tmp_path / "checkpoints")[-1] == 8
    other = make_config(
        work, short.model_copy(update={"num_train_steps": 5}).model_dump(), long.model_dump()
    )
    with pytest.raises(ValueError, match=r"phases\.0\.num_steps_before_next: was 4, is 5"):
        pretrain(other, tmp_path)


def test_phases_of_another_vocabulary_are_refused(work: Path, tmp_path: Path) -> None:
    phases = [{"records": str(work / name), "num_train_steps": 2} for name in ("short", "x")]
    with pytest.raises(ValueError, match=r"phases\.1\.records must have the vocabulary of"):
        pretrain(make_config(work, *phases), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_schedule_of_each_phase_begins_anew() -> None:
    configs = [
        (OptimizerConfig(learning_rate=1.0, warmup_share=0.2, schedule="polynomial"), 10),
        (OptimizerConfig(learning_rate=0.5, warmup_share=0.5), 4),
        (OptimizerConfig(learning_rate=0.1, warmup_share=0.0), 2),
    ]
    seen = make_schedule(configs)(tf.range(16)).numpy()
    assert seen[:4] == pytest.approx([0.5, 1.0, 1.0, (7 / 8) ** 0.5])
    assert seen[10:] == pytest.approx([0.25, 0.5, 0.5, 0.25, 0.1, 0.05])


def test_phases_with_learning_rates_have_schedules_of_their_own(work: Path) -> None:
    phases = [
        {"records": str(work / "short"), "num_train_steps": 4, "learning_rate": 0.4},
        {"records": str(work / "long"), "num_train_steps": 2, "learning_rate": 0.2}
        | {"warmup_share": 0.5},
    ]
    first, second = open_phases(make_config(work, *phases))
    assert (first.schedule.learning_rate, first.schedule.warmup_share) == (0.4, 0.01)
    assert (second.schedule.learning_rate, second.schedule.warmup_share) == (0.2, 0.5)


@pytest.mark.parametrize(
    ("pretraining", "message"),
    [
        ({"records": "R"}, "records must be unset with phases"),
        ({"num_train_steps": 6}, "num_train_steps must be the sum of the phases'"),
        ({"phases": [{"records": "R", "num_train_step": 1}]}, r"phases\.0\.num_train_step is not"),
    ],
)
def test_what_contradicts_phases_is_refused(pretraining: dict[str, Any], message: str) -> None:
    phases = [{"records": "R", "num_train_steps": 5}]
    with pytest.raises(ValueError, match=message):
        validate_config({"pretraining": {"phases": phases} | pretraining})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{"learning_rate": 0.1}, {}], "learning_rate must be set in every phase"),
        ([{"warmup_share": 0.1}], "warmup_share of a phase needs its learning_rate"),
    ],
)
def test_half_a_schedule_is_refused(changes: list[dict[str, float]], message: str) -> None:
    phases = [{"records": "R", "num_train_steps": 5} | change for change in changes]
    with pytest.raises(ValueError, match=message):
        validate_config({"pretraining": {"phases": phases}})


def test_a_resolved_configuration_with_phases_can_be_read_again(tmp_path: Path) -> None:
    from bert_tf.config import write_config

    phases = [{"records": "R", "num_train_steps": 5}, {"records": "S", "num_train_steps": 2}]
    config = validate_config({"pretraining": {"phases": phases}})
    assert config.pretraining.num_train_steps == 7
    assert load_config(write_config(config, tmp_path)) == config
