"""The task `multiple_choice`: batches, scores and gradients of any number of choices a text."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig, OptimizerConfig
from bert_tf.data.batches.labelled import labelled_batches
from bert_tf.data.tables.table import Table
from bert_tf.data.text.packing import pack
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.windows import TextLimits
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.texts import TextInputs
from bert_tf.metrics import choices as scores
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.answers import answers_of
from bert_tf.tasks.table import find_task
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.optimizers import make_optimizer
from bert_tf.training.stages.held_out import HeldOut

WORDS = ["red", "green", "blue", "sky", "grass", "is", "."]
SHAPE = {
    "vocab_size": len(CONTROL_TOKENS) + len(WORDS),
    "num_hidden_layers": 2,
    "hidden_size": 12,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TEXTS = ["sky is", "grass is green", ". " * 40, "sky", "blue sky is . red", "is"]
CHOICES = [
    ["red", "blue sky is"],
    ["green", "red", "is is is", "grass ."],
    ["sky", "green"],
    ["red", "green", "blue"],
    ["blue " * 40, "red ."],
    ["red", "sky red blue"],
]
ALL = range(6)
TARGETS = [1, 3, 0, 2, 1, 0]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS], lower_case=True)


def make_task(**settings):
    return find_task("multiple_choice").with_options(settings, name="multiple_choice")


def examples_of(task, rows=ALL):
    columns = {"text": TEXTS, "choices": CHOICES, "label": TARGETS}
    return task.read(Table.from_columns(columns), FinetuningConfig()).take([*rows])


def describe(task, **fields):
    return ModelDescription(
        kind="multiple_choice",
        architecture=SHAPE,
        has_text_pairs=True,
        **{"max_seq_length": 16, **task.learn(examples_of(task)), **fields},
    )


def make_model(task, description):
    keras.utils.set_random_seed(3)
    model = task.make_model(description, dtype="float32", rematerialize=False)
    for weight in model.weights:  # scores far enough from each other
        if "bias" not in weight.name and len(weight.shape) == 2:
            weight.assign(weight.value * 12)
    return model


def batch_of(task, description, tokenizer, rows):
    encoded = task.encode(examples_of(task), description, tokenizer=tokenizer)
    features = encoded.features(tf.constant(rows))
    return features | {"weights": tf.ones([len(rows)])}


def scores_one_by_one(model, tokenizer, row):
    """Of each choice of a text the logit of its pair, which is a row by itself."""
    text = tokenizer.tokenize([TEXTS[row]])
    found = []
    for choice in CHOICES[row]:
        inputs = pack(
            text,
            tokenizer.tokenize([choice]),
            max_seq_length=16,
            cls_id=tokenizer.cls_id,
            sep_id=tokenizer.sep_id,
        )
        found.append(float(model(inputs)[0, 0]))
    return found


def test_scores_and_loss_are_those_of_a_loop_over_choices(tokenizer):
    task = make_task()
    description = describe(task)
    model = make_model(task, description)
    batch = batch_of(task, description, tokenizer, range(len(TEXTS)))
    assert batch["input_ids"].shape == (6, 4, 16)
    assert batch["choice_windows"].numpy().sum(axis=1).tolist() == [2, 4, 2, 3, 2, 2]
    outputs = model(batch)
    losses = []
    for row, target in enumerate(TARGETS):
        wanted = scores_one_by_one(model, tokenizer, row)
        number = len(wanted)
        np.testing.assert_allclose(outputs["logits"][row, :number], wanted, atol=1e-5)
        assert not outputs["logits"].numpy()[row, number:].any()
        losses.append(-tf.nn.log_softmax(wanted)[target])
    objective = task.objective(description)
    sums = objective.sums(outputs, batch)
    assert float(sums.loss["multiple_choice"]) == pytest.approx(float(sum(losses)), rel=1e-5)
    assert float(objective.weights(batch)["multiple_choice"]) == 6
    answers = task.decode(outputs, description)
    np.testing.assert_allclose(tf.reduce_sum(answers["probabilities"], axis=1), 1.0, atol=1e-6)
    assert answers["num_choices"].numpy().tolist() == [2, 4, 2, 3, 2, 2]
    assert not answers["probabilities"].numpy()[0, 2:].any()


def gradients_of(model, objective, batch):
    with tf.GradientTape() as tape:
        loss = objective.sums(model(batch, training=True), batch).loss["multiple_choice"]
    values = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    return [tf.convert_to_tensor(value).numpy() for value in values]


def test_gradients_do_not_depend_on_how_many_choices_others_have(tokenizer):
    task = make_task()
    description = describe(task)
    model, objective = make_model(task, description), task.objective(description)
    rows = [0, 1, 3]
    together = gradients_of(model, objective, batch_of(task, description, tokenizer, rows))
    alone = [
        gradients_of(model, objective, batch_of(task, description, tokenizer, [row]))
        for row in rows
    ]
    assert any(np.abs(gradient).max() > 1e-3 for gradient in together)
    for found, *parts in zip(together, *alone, strict=True):
        np.testing.assert_allclose(found, np.sum(parts, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("num_replicas", "num_parts"), [(1, 2), (2, 1), (2, 2)])
def test_replicas_and_micro_batches_take_the_step_of_one(
    tokenizer, step_of_one, num_replicas, num_parts
):
    wanted, found = step_of_one, step_of(tokenizer, num_replicas, num_parts)
    assert found[0] == pytest.approx(wanted[0], rel=1e-5)
    for ours, theirs in zip(found[1], wanted[1], strict=True):
        # What all choices have in common changes no loss: the head's bias moves by rounding alone.
        if theirs.size > 1:
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def step_of_one(tokenizer):
    return step_of(tokenizer, 1, 1)


def step_of(tokenizer, num_replicas, num_parts):
    """Loss and gradient norm of a step of four texts, and the weights behind it."""
    task = make_task()
    description = describe(task)
    strategy = make_strategy(num_logical_devices=num_replicas)
    with strategy.scope():
        model = make_model(task, description)
        config = OptimizerConfig(name="lamb", learning_rate=0.01)
        optimizer = make_optimizer(model, config=config, num_steps=100)
    step = make_train_step(
        model,
        task.objective(description),
        optimizer,
        strategy=strategy,
        num_parts=num_parts,
        max_grad_norm=1.0,
        seed=0,
    )
    encoded = task.encode(examples_of(task), description, tokenizer=tokenizer)
    batches = split_batches(
        lambda **worker: labelled_batches(
            encoded, batch_size=4, is_training=True, seed=1, **worker
        ),
        strategy,
        is_endless=True,
    )
    sums, weights, extras = step(iter(batches), tf.constant(50, tf.int64))
    numbers = [sums.loss["multiple_choice"], weights["multiple_choice"], extras["gradient_norm"]]
    return [float(it) for it in numbers], [weight.numpy() for weight in model.weights]


def test_replicas_measure_together_what_one_does(tokenizer):
    task = make_task()
    description = describe(task)
    held_out = HeldOut(task, examples_of(task), description, tokenizer=tokenizer, batch_size=2)
    measured, kept = [], []
    for num_replicas in (1, 2):
        strategy = make_strategy(num_logical_devices=num_replicas)
        with strategy.scope():
            model = make_model(task, description)
        evaluation = Evaluation(
            model,
            task.objective(description),
            held_out.batches,
            strategy=strategy,
            rate=lambda outputs: kept.append(outputs) or held_out.rate(outputs),
        )
        measured.append(evaluation())
    assert measured[1] == pytest.approx(measured[0], rel=1e-5)
    assert kept[0]["logits"].shape == kept[1]["logits"].shape == (6, 4)
    answers = answers_of(task, kept[0], description, tokenizer=tokenizer)
    outcomes = task.outcomes(examples_of(task), answers)
    assert outcomes.scores.shape == (6, 4)
    assert scores.numbers_of_choices(outcomes).tolist() == [2, 4, 2, 3, 2, 2]


@pytest.mark.parametrize("join", ["mean", "max"])
def test_windows_of_a_long_text_stand_before_each_choice(tokenizer, join):
    task = make_task()
    fields = {"max_windows": 3, "window_stride": 5, "window_join": join}
    description = describe(task, **fields)
    model = make_model(task, description)
    rows = [2, 0, 4]
    batch = batch_of(task, description, tokenizer, rows)
    windows = batch["choice_windows"].numpy()
    assert windows.tolist() == [[3, 3], [1, 1], [1, 1]]
    outputs = model(batch)["logits"].numpy()
    ids = batch["input_ids"].numpy()
    sep = tokenizer.sep_id
    assert all((row == sep).sum() == 2 for row in ids[0])
    for place in range(len(rows)):
        ends = np.cumsum(windows[place])
        for number, (end, count) in enumerate(zip(ends, windows[place], strict=True)):
            own = slice(end - count, end)
            inputs = {name: batch[name][place, own] for name in ENCODER_INPUTS}
            of_windows = model(inputs).numpy()[:, 0]
            wanted = of_windows.mean() if join == "mean" else of_windows.max()
            assert outputs[place, number] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("max_windows", [1, 3])
def test_the_served_graph_reads_the_rows_that_training_reads(tokenizer, max_windows):
    task = make_task()
    description = describe(task, max_windows=max_windows)
    model = make_model(task, description)
    batch = batch_of(task, description, tokenizer, range(len(TEXTS)))
    inputs = examples_of(task).inputs
    text_inputs = TextInputs(tokenizer, TextLimits(16, max_windows))
    found = text_inputs.choices(
        tf.constant(inputs["text"]), tf.constant(inputs["choices"]), max_choices=100
    )
    is_row = batch["input_mask"].numpy()[:, :, 0] > 0
    for name in ENCODER_INPUTS:
        np.testing.assert_array_equal(found.rows.inputs[name], batch[name].numpy()[is_row])
    np.testing.assert_array_equal(found.rows.owners, np.nonzero(is_row)[0])
    np.testing.assert_array_equal(found.offsets["choice_windows"], batch["choice_windows"])
    assert model(batch)["logits"].shape == (6, 4)


def test_rows_are_padded_to_the_longest_of_the_batch_and_grouped_by_all_of_a_text(tokenizer):
    task = make_task()
    encoded = task.encode(examples_of(task), describe(task), tokenizer=tokenizer)
    assert encoded.features(tf.constant([0, 3]))["input_ids"].shape == (2, 3, 8)
    assert encoded.features(tf.constant([2]))["input_ids"].shape == (1, 2, 16)
    assert encoded.lengths.tolist()[3] == 3 * 5
    assert encoded.first_tokens()[0].tolist()[:2] == [2, 3]


def test_a_hundred_choices_are_one_example(tokenizer):
    task = make_task()
    choices = [" ".join(["red"] * (1 + n % 9) + ["."] * (n // 9)) for n in range(100)]
    columns = {"text": ["sky"], "choices": [choices], "label": [99]}
    examples = task.read(Table.from_columns(columns), FinetuningConfig())
    description = describe(task)
    encoded = task.encode(examples, description, tokenizer=tokenizer)
    outputs = make_model(task, description)(encoded.features(tf.constant([0])))
    answers = task.decode(outputs, description)
    assert answers["probabilities"].shape == (1, 100)
    assert int(answers["num_choices"][0]) == 100
