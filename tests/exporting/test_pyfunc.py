"""The pyfunc that goes into the registry, on tiny text models made with plain TensorFlow."""

import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_text

import bert_tf.exporting.pyfunc as pyfunc_file
from bert_tf.exporting.pyfunc import TextModel

GOOD = "정말 좋은 영화"
BAD = "지루하고 긴 영화"


class Sentiment(tf.Module):
    """Positive if a text holds 좋; uses an op of tensorflow-text."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        text = tensorflow_text.normalize_utf8(text, "NFC")
        is_good = tf.strings.regex_full_match(text, ".*좋.*")
        positive = tf.where(is_good, 0.75, 0.25)
        return {
            "label": tf.where(is_good, "긍정", "부정"),
            "score": tf.maximum(positive, 1.0 - positive),
            "probabilities": tf.stack([1.0 - positive, positive], axis=1),
            "labels": tf.tile([["부정", "긍정"]], [tf.size(text), 1]),
        }

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.string, name="text_pair"),
        ]
    )
    def compare(self, text: tf.Tensor, text_pair: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"is_equal": tf.equal(text, text_pair)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def count(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"num_texts_of_call": tf.fill(tf.shape(text), tf.size(text))}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32, name="input_ids"),
            tf.TensorSpec([None], tf.int32, name="lengths"),
        ]
    )
    def total(self, input_ids: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        is_token = tf.sequence_mask(lengths, tf.shape(input_ids)[1], dtype=tf.int32)
        return {"total": tf.reduce_sum(input_ids * is_token, axis=1)}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "1"
    module = Sentiment()
    signatures = {
        "serving_default": module.classify,
        "compare": module.compare,
        "count": module.count,
        "total": module.total,
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def model(saved_model: Path) -> TextModel:
    model = TextModel()
    artifacts = {"saved_model": str(saved_model)}
    model.load_context(mlflow.pyfunc.PythonModelContext(artifacts=artifacts, model_config=None))
    return model


def test_dataframe_gives_a_row_of_outputs_for_each_text(model: TextModel) -> None:
    answers = model.predict(None, pd.DataFrame({"text": [GOOD, BAD]}, index=[7, 9]))
    assert set(answers.columns) == {"label", "score", "probabilities", "labels"}
    assert list(answers.index) == [7, 9]
    assert answers["label"].tolist() == ["긍정", "부정"]
    assert answers["score"].tolist() == [0.75, 0.75]
    assert answers["probabilities"].tolist() == [[0.25, 0.75], [0.75, 0.25]]
    assert answers["labels"].tolist() == [["부정", "긍정"]] * 2


@pytest.mark.parametrize(
    "texts",
    [[GOOD, BAD], pd.Series([GOOD, BAD]), np.array([GOOD, BAD], dtype=object)],
    ids=["list", "series", "array"],
)
def test_texts_alone_are_taken(model: TextModel, texts: object) -> None:
    assert model.predict(None, texts)["label"].tolist() == ["긍정", "부정"]


def test_one_text_is_taken(model: TextModel) -> None:
    assert model.predict(None, GOOD)["label"].tolist() == ["긍정"]


def test_another_signature_takes_a_pair(model: TextModel) -> None:
    frame = pd.DataFrame({"text": ["가", "나"], "text_pair": ["가", "다"]})
    answers = model.predict(None, frame, params={"signature_name": "compare"})
    assert answers["is_equal"].tolist() == [True, False]


def test_large_frame_is_answered_in_slices_with_the_same_answers(model: TextModel) -> None:
    texts = [GOOD, BAD, BAD] * 50
    frame = pd.DataFrame({"text": texts}, index=range(1000, 1150))
    sizes = model.predict(None, frame, params={"signature_name": "count"})["num_texts_of_call"]
    assert sizes.tolist() == [64] * 64 + [64] * 64 + [22] * 22
    answers = model.predict(None, frame)
    pd.testing.assert_frame_equal(
        answers, pd.concat([model.predict(None, frame[row : row + 1]) for row in range(150)])
    )
    with pytest.raises(ValueError, match="column text, row 149: a text must be a string"):
        model.predict(None, [*texts[:-1], None])


def test_frame_without_rows_has_an_answer_without_rows(model: TextModel) -> None:
    answers = model.predict(None, pd.DataFrame({"text": []}))
    assert (len(answers), set(answers.columns)) == (
        0,
        {"label", "score", "probabilities", "labels"},
    )


@pytest.mark.parametrize(("num_rows", "totals"), [(2, [3, 7]), (0, [])])
def test_rows_of_numbers_are_taken(model: TextModel, num_rows: int, totals: list[int]) -> None:
    frame = pd.DataFrame({"input_ids": [[1, 2, 9], [3, 4, 9]], "lengths": [2, 2]})[:num_rows]
    answers = model.predict(None, frame, params={"signature_name": "total"})
    assert answers["total"].tolist() == totals


def test_errors_name_signature_column_and_row(model: TextModel) -> None:
    with pytest.raises(
        ValueError, match="signature_name must be one of compare, count, serving_default, total"
    ):
        model.predict(None, [GOOD], params={"signature_name": "rank"})
    with pytest.raises(ValueError, match=r"the columns text\. Received: review\. Add text"):
        model.predict(None, pd.DataFrame({"review": [GOOD]}))
    with pytest.raises(ValueError, match="column text, row 1: a text must be a string"):
        model.predict(None, pd.DataFrame({"text": [GOOD, None]}))
    with pytest.raises(ValueError, match="must be a DataFrame with the columns text, text_pair"):
        model.predict(None, [GOOD], params={"signature_name": "compare"})


def test_file_stands_alone(saved_model: Path, tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"),
        python_model=str(pyfunc_file.__file__),
        artifacts={"saved_model": str(saved_model)},
        pip_requirements=["tensorflow"],
    )
    program = (
        "import sys, mlflow.pyfunc\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "assert model.predict([sys.argv[2]])['label'].tolist() == ['긍정']\n"
        "assert not any(name.startswith('bert_tf') for name in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model"), GOOD]
    subprocess.run(command, check=True, cwd=tmp_path)
