"""Classification: classes and their order, class weights, label smoothing, alignment."""

import math
import resource

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.system import pictures
from bert_tf.tasks.classification import Classification, ClassificationObjective
from bert_tf.training.engine.objective import summarize
from tests.labelled import make_examples


def task(**settings) -> Classification:
    return Classification.with_options(settings, name="classification")


def learn(targets, **settings):
    return task(**settings).learn(make_examples(["x"] * len(targets), targets))


def test_classes_are_sorted_as_numbers_if_they_are():
    assert learn(["10", "9", "-1", "9"])["class_names"] == ("-1", "9", "10")
    assert learn(["10", "9", "b"])["class_names"] == ("10", "9", "b")


def test_one_class_is_no_classification():
    with pytest.raises(ValueError, match=r"row 1: a classifier needs two classes .*\['a'\]"):
        learn(["a", "a"])


def test_a_default_classification_has_nothing_to_remember():
    assert learn(["a", "b"])["task_state"] == {}


def test_balanced_weights_are_scikit_learn_s():
    from sklearn.utils.class_weight import compute_class_weight

    targets = ["a"] * 6 + ["b"] * 3 + ["c"]
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=targets)
    learnt = learn(targets, class_weights="balanced")["task_state"]
    assert learnt["class_weights"] == pytest.approx(list(expected))
    given = learn(targets, class_weights={"c": 5.0})["task_state"]
    assert given["class_weights"] == [1.0, 1.0, 5.0]


def test_a_weight_of_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match=r"must name classes of .*a, b. Received: z"):
        learn(["a", "b"], class_weights={"z": 2.0})


def test_weights_and_smoothing_are_pytorch_s_by_hand():
    # Softmax of (ln 3, 0) is (3/4, 1/4).
    batch = {"labels": tf.constant([0, 1]), "weights": tf.ones([2])}
    logits = tf.constant([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])

    def loss(**options):
        objective = ClassificationObjective(**options)
        return summarize(objective.sums(logits, batch), objective.weights(batch))

    first, second = -math.log(3 / 4), -math.log(1 / 4)
    assert loss()["loss"] == pytest.approx((first + second) / 2, rel=1e-4)
    assert loss()["classification_accuracy"] == 0.5
    weighted = loss(class_weights=[1.0, 3.0])
    assert weighted["loss"] == pytest.approx((first + 3 * second) / 4, rel=1e-4)
    assert "classification_accuracy" not in weighted, "of weighted texts it is another number"
    uniform = (first + second) / 2
    smoothed = loss(label_smoothing=0.2)["loss"]
    assert smoothed == pytest.approx((0.8 * (first + second) + 0.2 * 2 * uniform) / 2, rel=1e-4)


def test_unknown_labels_are_counted_and_named():
    description = ModelDescription(
        kind="classification",
        architecture=ModelConfig(size="tiny", vocab_size=10),
        max_seq_length=8,
        class_names=("0", "1"),
    )
    examples = make_examples(["x"] * 4, ["1", "good", "bad", "good"])
    with pytest.raises(
        ValueError,
        match=r"row 2: every label .*: 0, 1\. Received: 'good'; in all 3 .* 'bad', 'good'\. Re",
    ):
        task().check(examples, description)


def test_outcomes_of_another_model_take_this_one_s_order():
    ours = Outcomes(targets=np.array([0, 1]), predictions=np.array([0, 0]), names=("a", "b"))
    theirs = Outcomes(
        targets=np.array([1, 0]),
        predictions=np.array([0, 0]),
        scores=np.array([[0.9, 0.1], [0.8, 0.2]]),
        names=("b", "a"),
    )
    aligned = task().aligned(theirs, ours)
    np.testing.assert_array_equal(aligned.targets, ours.targets)
    np.testing.assert_array_equal(aligned.predictions, [1, 1])
    np.testing.assert_array_equal(aligned.scores, [[0.1, 0.9], [0.2, 0.8]])


def test_any_number_of_classes_is_reported_and_sliced_in_bounded_memory(tmp_path):
    num_classes, num_examples = 50_000, 100_000  # C² cells would take 20 GB
    draw = np.random.default_rng(0)
    targets = draw.integers(0, num_classes, num_examples)
    predictions = np.where(draw.random(num_examples) < 0.5, targets, (targets + 1) % num_classes)
    names = tuple(f"class {index}" for index in range(num_classes))
    outcomes = Outcomes(targets=targets, predictions=predictions, names=names)
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = task().report(outcomes, tmp_path)
    slices = task().target_slices(outcomes)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kilobytes
    assert grown < 2 << 20, f"{grown:,} kB"
    assert report.files == ("confusion_matrix.png", "classes.md")
    assert sum(map(len, slices.values())) == num_examples
    for name in ("class 0", "class 49999"):
        np.testing.assert_array_equal(
            slices[f"label {name}"], np.flatnonzero(targets == names.index(name))
        )


def test_a_report_names_the_picture_only_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_INCHES", 1.0)
    outcomes = Outcomes(targets=np.arange(2), predictions=np.arange(2), names=("a", "b"))
    report = task().report(outcomes, tmp_path)
    assert report.files == ("classes.md",)
    assert report.metrics == {"f1": 1.0}


def test_the_confusions_of_many_classes_are_told_briefly():
    names = tuple(f"intent {index}" for index in range(500))
    one, other = (
        Outcomes(targets=np.zeros(1, int), predictions=np.zeros(1, int), names=own)
        for own in (names, (*names[1:], "renamed"))
    )
    with pytest.raises(ValueError, match=r"Received: renamed, .* and intent 0, ") as raised:
        task().aligned(one, other)
    assert len(str(raised.value)) < 600
    with pytest.raises(ValueError, match=r"0, .* and 490 more. Received: z 0, .* and 90 more"):
        task(class_weights={f"z {n}": 1.0 for n in range(100)}).learn(
            make_examples(["x"] * 1500, list(names) * 3)
        )
    assert len(task().card_lines(description(names))[0]) < 1000


def description(names):
    return ModelDescription(
        kind="classification", architecture=ModelConfig(), max_seq_length=16, class_names=names
    )
