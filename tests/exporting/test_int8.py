"""Exports of int8: ranges of given texts, products left to float32, what is refused."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.api.loading import load
from bert_tf.exporting.accuracy import check_metrics
from bert_tf.exporting.graph_ops import GraphOps
from bert_tf.exporting.int8 import quantize
from bert_tf.exporting.loading import read_graph
from bert_tf.exporting.precision import compare_with_float32
from bert_tf.exporting.predict import predict_texts
from bert_tf.exporting.servability import REPORT_FILE
from bert_tf.metrics.classification import ACCURACY
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.classification import Classification
from bert_tf.tasks.models import build_model
from tests.exporting.test_saved_model import ARCHITECTURE, TEXTS, export, make_folder

PRODUCTS = {
    f"layer_0.{part}"
    for part in ("attention.query_key_value", "attention.output", "intermediate", "output")
}


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("classifier"))


def labelled(path, labels):
    rows = [f"{text.strip()[:40]}\t{label}" for text, label in zip(TEXTS, labels, strict=True)]
    path.write_text("\n".join(["text\tlabel", *rows]), encoding="utf-8")
    return str(path)


def inputs_of(*, seed=0):
    ids = np.random.default_rng(seed).integers(5, 20, size=(6, 12))
    return {
        "input_ids": tf.constant(ids, tf.int32),
        "input_mask": tf.ones([6, 12], tf.int32),
        "segment_ids": tf.zeros([6, 12], tf.int32),
    }


def model_of(kind="encoder"):
    description = ModelDescription(kind=kind, architecture=ARCHITECTURE, max_seq_length=16)
    model = build_model(description)
    model.encoder.skips_padding = True
    return model


def test_an_export_is_checked_told_and_smaller(folder, calibration, tmp_path):
    exact = export(folder, tmp_path / "exact")
    evaluation = labelled(tmp_path / "eval.tsv", ["긍정", "부정", "모름", "긍정"])
    version = export(
        folder,
        tmp_path / "int8",
        check=True,
        precision="int8",
        calibration_texts=calibration,
        evaluation_data=evaluation,
        max_metric_loss=1.0,
    )
    answers = zip(predict_texts(exact, TEXTS), predict_texts(version, TEXTS), strict=True)
    for wanted, received in answers:
        np.testing.assert_allclose(wanted["probabilities"], received["probabilities"], atol=0.1)
    layers = json.loads((version / "assets.extra" / "quantization.json").read_text())
    assert {layer["name"] for layer in layers} == PRODUCTS
    assert [layer["effect"] for layer in layers] == sorted(
        (layer["effect"] for layer in layers), reverse=True
    )
    checks = json.loads((version / REPORT_FILE).read_text())["checks"]
    assert "accuracy" in checks["metrics"]["detail"]
    assert "float32" in checks["metrics"]["detail"]
    assert "answers agree" in checks["precision"]["detail"]
    with pytest.raises(ValueError, match="one of int8, which has rounded ones alone"):
        _ = load(version).model
    operations = {node.op for node in GraphOps(read_graph(version)).nodes()}
    assert "_QuantizedMatMul" in operations


def test_texts_for_calibration_are_asked_for_before_anything_is_written(folder, tmp_path):
    with pytest.raises(ValueError, match="calibration_texts must be set"):
        export(folder, tmp_path / "served", precision="int8")
    with pytest.raises(ValueError, match="float32_layers must be empty"):
        export(folder, tmp_path / "served", float32_layers=["layer_0.output"])
    assert not (tmp_path / "served").exists()


def test_an_export_that_loses_too_much_is_refused():
    task, key = Classification(), ACCURACY.key

    def check(found, in_float32):
        return check_metrics(found, in_float32, task=task, num_examples=100, max_loss=0.005)

    lost = check({key: 0.894}, {key: 0.9})
    assert (
        "must be worse than float32's by 0.005 at most. Received: accuracy 0.8940" in lost.faults[0]
    )
    assert not check({key: 0.895}, {key: 0.9}).faults
    assert not check({key: 0.95}, {key: 0.9}).faults
    assert check({key: 0.6}, None).detail == "of 100 examples: accuracy 0.6000"


def test_answers_beyond_the_bound_of_a_precision_are_faults():
    def check(*found):
        compared = compare_with_float32([{"score": exact, "label": b}], found, bound=0.1)
        return compared.faults, compared.detail

    exact, b = np.array([3.0, -4.0, np.nan], np.float32), np.array([b"a", b"b", b""])
    faults, detail = check(
        {"score": exact + np.array([0.27, 0.36, 0], np.float32), "label": b[::-1]}
    )
    assert not faults
    assert "by 0.09 of their size at most" in detail
    faults, _ = check({"score": exact + np.array([0.4, 0.4, 0], np.float32), "label": b})
    assert faults[0].startswith("output score: further from float32's than 0.1 of their size: 0.11")
    faults, _ = check({"score": np.zeros_like(exact), "label": b})
    assert "output score: other values than float32's" in faults[0]
    assert check()[0] == ("0 answers, not 1",)


def test_an_unknown_layer_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'layer_0.outptu'.*layer_0\.output"):
        quantize(model_of(), [inputs_of()], float32_layers=["layer_0.outptu"])


def test_layers_that_stay_float32_are_exact():
    model, inputs = model_of(), inputs_of()
    exact = model(inputs, training=False)["sequence_output"].numpy()
    layers = quantize(
        model, [inputs, inputs_of(seed=1)], float32_layers=[*PRODUCTS, "word_embeddings"]
    )
    assert all(layer.is_float32 for layer in layers)
    np.testing.assert_array_equal(model(inputs, training=False)["sequence_output"], exact)


def test_scores_of_tokens_are_made_with_the_rows_that_are_looked_up():
    model = model_of("pretraining")
    inputs = {**inputs_of(), "masked_lm_positions": tf.constant([[1, 2]] * 6)}
    exact = model(inputs, training=False)["masked_lm_logits"].numpy()
    layers = quantize(model, [inputs])
    assert {layer.name for layer in layers} == PRODUCTS | {"masked_lm"}
    found = tf.function(lambda: model(inputs, training=False))()["masked_lm_logits"].numpy()
    assert 0 < np.abs(found - exact).max() < 0.2 * np.abs(exact).max()


def test_a_column_of_outliers_is_smoothed():
    model, inputs = model_of(), inputs_of()
    norm = model.encoder.embeddings.layer_norm
    gamma = norm.gamma.numpy()
    gamma[3] = 60.0
    norm.gamma.assign(gamma)
    by_name = {layer.name: layer for layer in quantize(model, [inputs])}
    assert by_name["layer_0.attention.query_key_value"].is_smoothed
    assert by_name["layer_0.attention.query_key_value"].error < 0.1
