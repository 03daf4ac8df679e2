"""Models that are fine-tuned on DataFrames and loaded from wherever they are."""

import gc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bert_tf
from bert_tf import registry
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.exporting.saved_model import export_model
from tests.api.small_models import finetune, make_frame
from tests.mlflow_stores import make_database

TEXTS = ["good film", "bad plot 영화", "long long good"]
LABELS = {"name": "multi_label", "label_fields": ["good", "long"]}
GOLDEN = Path(__file__).parents[1] / "golden" / "huggingface"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("multi_label")


@pytest.fixture(scope="module")
def model(folder) -> bert_tf.LoadedModel:
    return finetune(folder, task=LABELS, num_epochs=12)


@pytest.fixture(scope="module")
def export(model, folder) -> Path:
    return bert_tf.export(model, output_dir=folder / "served")


@pytest.fixture(scope="module")
def exported(export) -> bert_tf.LoadedModel:
    return bert_tf.load(export.parent)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> bert_tf.LoadedModel:
    settings = {"text_pair_field": "answer", "label_field": "stars", "num_epochs": 4}
    return finetune(tmp_path_factory.mktemp("pairs"), task="regression", **settings)


def assert_same(answers: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(answers.columns) == list(expected.columns)
    for name in expected.columns:
        wanted, received = expected[name].tolist(), answers[name].tolist()
        if np.asarray(wanted).dtype.kind == "f":
            np.testing.assert_allclose(received, wanted, atol=1e-5, err_msg=name)
        else:
            assert received == wanted, name


def test_a_model_of_labels_is_trained_on_frames_and_evaluation_gives_its_numbers(model):
    assert model.metrics["micro_f1"] > 0.9, model.metrics
    again = bert_tf.evaluate(
        model, make_frame(40, seed=2), config=bert_tf.Config(tracking={"enabled": False})
    )
    assert again == pytest.approx(model.metrics, rel=1e-4)


def test_evaluation_writes_its_report_where_it_is_told_and_reads_other_columns(model, tmp_path):
    data = make_frame(40, seed=2).rename(columns={"comment": "review"})
    config = bert_tf.Config(tracking={"enabled": False}, finetuning={"text_field": "review"})
    metrics = bert_tf.evaluate(model.folder, data, output_dir=tmp_path, config=config)
    assert metrics == pytest.approx(model.metrics, rel=1e-4)
    assert (tmp_path / "metrics.json").is_file()


def test_a_classifier_of_records_is_trained_by_the_class_of_its_task(tmp_path):
    from bert_tf.tasks.classification import Classification

    rows = make_frame(200).to_dict("records")
    model = finetune(
        tmp_path, train=rows, task=Classification, label_field="sentiment", num_epochs=6
    )
    assert model.description.kind == "classification"
    assert model.predict(["good good film"])["label"].tolist() == ["pos"]


def test_a_model_of_pairs_is_asked_with_tuples_and_with_columns(pairs):
    data = make_frame(3, seed=5)
    by_columns = pairs.predict(data)
    assert list(by_columns.index) == list(data.index)
    tuples = list(zip(data["comment"], data["answer"], strict=True))
    assert_same(pairs.predict(tuples), by_columns)
    renamed = data.rename(columns={"comment": "q", "answer": "a"})
    assert_same(pairs.predict(renamed, text_field="q", text_pair_field="a"), by_columns)
    with pytest.raises(ValueError, match="row 0: the model takes text and text_pair"):
        pairs.predict(["good"])
    assert pairs.embed(data).shape == (3, 64)


def test_a_task_s_instance_and_class_of_a_module_train_its_model(tmp_path):
    from tests.tasks.agreement import Agreement, AgreementSettings

    task = Agreement(AgreementSettings(percent=True))
    frame = make_frame(40)
    frame["share"] = 20 * frame["stars"]
    settings = {"label_field": "share", "num_epochs": 1, "train": frame, "held_out": frame}
    model = finetune(tmp_path, task=task, **settings)
    assert model.description.kind == "tests.tasks.agreement:Agreement"
    assert 1 < model.predict(["good"])["share"][0] < 100, "settings of the instance are lost"


def test_memory_export_and_registered_version_give_the_same_answers(
    model, exported, export, tmp_path, monkeypatch
):
    uri = make_database(tmp_path / "mlflow.db")
    version = registry.register(export, name="comments", tracking_uri=uri).version
    registry.promote(name="comments", alias="champion", version=version, tracking_uri=uri)
    expected = model.predict(TEXTS)
    assert expected.shape == (3, 4)
    assert expected["predicted"].tolist()[0] == [True, False]
    assert_same(exported.predict(TEXTS), expected)
    champion = bert_tf.load("models:/comments@champion", tracking_uri=uri)
    assert_same(champion.predict(TEXTS), expected)
    assert champion.metrics == pytest.approx(model.metrics)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert_same(bert_tf.load(f"models:/comments/{version}").predict(TEXTS), expected)
    place = champion.folder
    del champion
    gc.collect()
    assert not place.exists(), "what was downloaded goes with the model"


def test_a_frame_is_asked_by_the_column_that_was_trained_on(model, exported):
    data = make_frame(3, seed=5)
    answers = model.predict(data)
    assert list(answers.index) == [1000, 1001, 1002]
    assert_same(exported.predict(data), answers)
    assert_same(model.predict(data["comment"]), answers)
    with pytest.raises(ValueError, match=r"column 'comment'.*Received: text. Name the right one"):
        model.predict(pd.DataFrame({"text": TEXTS}))
    assert_same(
        model.predict(pd.DataFrame({"text": TEXTS}), text_field="text"), model.predict(TEXTS)
    )


def test_no_texts_have_an_answer_without_rows(model, exported):
    for loaded in (model, exported):
        answers = loaded.predict([])
        assert (len(answers), list(answers.columns)) == (0, list(model.predict(TEXTS).columns))
        assert loaded.embed([]).shape == (0, 64)


def test_embeddings_are_those_of_the_signature(model, exported):
    import tensorflow as tf

    signature = exported.signatures["embed"](text=tf.constant(TEXTS))["embedding"].numpy()
    for loaded in (model, exported):
        embeddings = loaded.embed(TEXTS)
        assert embeddings.dtype == np.float32
        np.testing.assert_allclose(embeddings, signature, atol=1e-5)
        lengths = np.linalg.norm(loaded.embed(TEXTS, normalize=True), axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_an_export_gives_its_network_and_tokenizer_back(model, exported):
    import keras

    assert isinstance(exported.model, keras.Model)
    for ours, theirs in zip(model.model.weights, exported.model.weights, strict=True):
        assert ours.path.split("/")[1:] == theirs.path.split("/")[1:]
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert exported.tokenizer.vocabulary == model.tokenizer.vocabulary
    assert exported.tokenizer.tokenize(TEXTS).to_list() == model.tokenizer.tokenize(TEXTS).to_list()


def test_an_export_of_bfloat16_gives_its_rounded_weights(model, tmp_path):
    section = {"model": str(model.folder), "precision": "bfloat16"}
    loaded = bert_tf.load(export_model(bert_tf.Config(export=section), tmp_path, check=False))
    for ours, theirs in zip(model.model.weights, loaded.model.weights, strict=True):
        np.testing.assert_allclose(theirs.numpy(), ours.numpy(), rtol=2**-8)
    ours, theirs = (np.stack(m.predict(TEXTS)["probabilities"]) for m in (model, loaded))
    np.testing.assert_allclose(theirs, ours, atol=0.02)


def test_a_folder_of_hugging_face_s_answers_as_the_model_it_was_made_of(model, tmp_path):
    convert_checkpoint(model.folder, tmp_path / "theirs", target_format="huggingface")
    theirs = bert_tf.load(tmp_path / "theirs")
    ours, answers = (np.stack(m.predict(TEXTS)["probabilities"]) for m in (model, theirs))
    np.testing.assert_allclose(answers, ours, atol=1e-5)
    np.testing.assert_allclose(theirs.embed(TEXTS), model.embed(TEXTS), atol=1e-5)
    with pytest.raises(ValueError, match=r"must be of a folder that finetune.*Name that folder"):
        bert_tf.finetune(output_dir=tmp_path / "unused", pretrained=theirs)


def test_a_foreign_folder_without_vocabulary_still_has_a_network():
    loaded = bert_tf.load(GOLDEN / "BertForQuestionAnswering")
    tokens = {name: np.ones((1, 4), np.int32) for name in ("input_ids", "input_mask")}
    assert loaded.model({**tokens, "segment_ids": np.zeros((1, 4), np.int32)}).shape == (1, 4, 2)
    with pytest.raises(FileNotFoundError, match=r"vocab\.txt: a vocabulary file must exist"):
        loaded.predict(TEXTS)


def test_signatures_that_take_no_texts_and_unknown_ones_are_refused(model, exported):
    for loaded in (model, exported):
        with pytest.raises(ValueError, match=r"one of classify, embed.*Received: 'rank'"):
            loaded.predict(TEXTS, signature_name="rank")
        with pytest.raises(ValueError, match=r"one that takes texts. Received: 'token_ids', which"):
            loaded.predict(TEXTS, signature_name="token_ids")
        with pytest.raises(ValueError, match=r"takes inputs\. Call signatures\['classify'\]"):
            loaded.predict(TEXTS, signature_name="classify")
        assert "[CLS]" in loaded.predict(TEXTS, signature_name="tokenize")["tokens"][0]


def test_an_export_can_be_neither_evaluated_nor_exported_again(exported, tmp_path):
    with pytest.raises(ValueError, match="must be of a folder that finetune, pretrain"):
        bert_tf.evaluate(exported, make_frame(4))
    with pytest.raises(ValueError, match=r"Received: <multi_label model in .*Name that folder"):
        bert_tf.export(exported, output_dir=tmp_path)


def test_what_is_no_model_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a checkpoint must exist. Received: no such file"):
        bert_tf.load(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"Received: an empty folder. Give the folder"):
        bert_tf.load(tmp_path)
    for source in ("models:/comments", "models:/comments@", "models:/@champion"):
        with pytest.raises(ValueError, match="must be models:/NAME@ALIAS or models:/NAME/VERSION"):
            bert_tf.load(source)
    uri = make_database(tmp_path / "mlflow.db")
    with pytest.raises(ValueError, match="comments"):
        bert_tf.load("models:/comments@champion", tracking_uri=uri)
