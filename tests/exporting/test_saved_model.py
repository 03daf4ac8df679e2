"""What is exported: signatures, text handling, whole versions, equal answers elsewhere."""

import shutil

import keras
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from bert_tf.config import Config, ModelConfig, load_config
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.closeness import Closeness
from bert_tf.exporting.predict import predict_texts
from bert_tf.exporting.pyfunc import TextModel
from bert_tf.exporting.saved_model import export_model
from bert_tf.exporting.version_folders import newest_version
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.system.files import hidden_folder
from bert_tf.tasks.models import build_model, load_model

VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한글", "좋", "##아요", "나", "##빠요"),
    *("good", "bad", "film", "[", "]", "mask", "ma", "##sk", "MASK", ".", "the"),
)
ARCHITECTURE = ModelConfig(
    num_hidden_layers=1,
    hidden_size=16,
    num_attention_heads=2,
    intermediate_size=32,
    vocab_size=len(VOCABULARY),
    max_position_embeddings=32,
    initializer_range=0.5,
)
ATOL = Closeness.absolute
"""What an export's own check allows: two graphs of one model sum in different orders, and which
ones depends on the processor."""
TEXTS = ["한글 좋아요", "the film . bad", "", "good " * 100]


def make_folder(path, *, kind="classification", has_text_pairs=False, has_next_sentence=True):
    tokenizer = WordPieceTokenizer(
        VOCABULARY, lower_case=False, strip_accents=False, unicode_normalization="NFC"
    )
    tokenizer.save(path)
    description = ModelDescription(
        kind=kind,
        architecture=ARCHITECTURE,
        max_seq_length=16,
        class_names=("부정", "긍정", "모름") if kind == "classification" else (),
        has_text_pairs=has_text_pairs,
        has_next_sentence=has_next_sentence,
    )
    # Of some random weights int8 loses more than of others.
    keras.utils.set_random_seed(1)
    save_model(build_model(description), description, path)
    return path


def export(folder, base, *, check=False, **settings):
    config = Config.model_validate({"export": {"model": str(folder), **settings}})
    return export_model(config, base, check=check)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = make_folder(tmp_path_factory.mktemp("classifier"))
    base = tmp_path_factory.mktemp("export")
    return folder, export(folder, base / "reviews")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = make_folder(tmp_path_factory.mktemp("pretrained"), kind="pretraining")
    return folder, export(folder, tmp_path_factory.mktemp("export") / "encoder", top_k=3)


def test_a_version_is_a_whole_numbered_folder(classifier):
    _, version = classifier
    assert version.name == "1"
    assert sorted(path.name for path in version.parent.iterdir()) == [
        ".highest_version",
        "1",
        "folder.json",
    ]
    assert newest_version(version.parent) == version
    extra = {path.name for path in (version / "assets.extra").iterdir()}
    assert {"model.json", "vocab.txt", "tokenizer.json", "config.yaml"} <= extra
    config = load_config(version / "assets.extra" / "config.yaml")
    assert config.export.max_seq_length == 16, "the model's, filled in"


def test_default_signature_answers_with_labels_and_probabilities(classifier):
    folder, version = classifier
    answers = predict_texts(version, TEXTS)
    for answer in answers:
        assert answer["labels"] == ["부정", "긍정", "모름"]
        assert sum(answer["probabilities"]) == pytest.approx(1.0, abs=1e-5)
        assert answer["label"] == answer["labels"][int(np.argmax(answer["probabilities"]))]
        assert answer["score"] == pytest.approx(max(answer["probabilities"]))
    model = load_model(folder)
    # [CLS] 한글 좋 ##아요 [SEP], worked out by hand.
    ids = np.array([[2, 5, 6, 7, 3]], np.int32)
    logits = model(
        {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    )
    expected = tf.nn.softmax(logits)[0].numpy()
    np.testing.assert_allclose(answers[0]["probabilities"], expected, atol=ATOL)


def test_answers_do_not_depend_on_the_batch(classifier):
    _, version = classifier
    together = predict_texts(version, TEXTS)
    for text, expected in zip(TEXTS, together, strict=True):
        alone = predict_texts(version, [text])[0]
        np.testing.assert_allclose(alone["probabilities"], expected["probabilities"], atol=ATOL)


def test_token_ids_give_the_same_answer_as_text(classifier):
    _, version = classifier
    signature = tf.saved_model.load(str(version)).signatures["token_ids"]
    ids = tf.constant([[2, 5, 6, 7, 3, 0]])
    outputs = signature(input_ids=ids, segment_ids=tf.zeros_like(ids), lengths=tf.constant([5]))
    expected = predict_texts(version, ["한글 좋아요"])[0]
    np.testing.assert_allclose(
        outputs["probabilities"][0].numpy(), expected["probabilities"], atol=ATOL
    )


def test_pairs_are_two_inputs(tmp_path):
    version = export(make_folder(tmp_path / "model", has_text_pairs=True), tmp_path / "pairs")
    first, second = predict_texts(version, ["good", "bad"], text_pairs=["film", "the film " * 40])
    assert first["label"] in first["labels"]
    assert first["probabilities"] != second["probabilities"]
    with pytest.raises(ValueError, match=r"takes \['text', 'text_pair'\]. Received: \['text'\]"):
        predict_texts(version, ["good"])


def test_fill_mask_answers_at_the_mask(pretrained):
    folder, version = pretrained
    answer = predict_texts(version, ["the [MASK] good"], signature_name="fill_mask")[0]
    assert len(answer["tokens"]) == 3
    assert set(answer["tokens"]) <= set(VOCABULARY)
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
    ids = np.array([[2, VOCABULARY.index("the"), 4, VOCABULARY.index("good"), 3]], np.int32)
    logits = load_model(folder)(
        {
            "input_ids": ids,
            "input_mask": np.ones_like(ids),
            "segment_ids": np.zeros_like(ids),
            "masked_lm_positions": np.array([[2]], np.int32),
        }
    )["masked_lm_logits"][0, 0]
    best = np.argsort(-logits.numpy())[:3]
    assert answer["tokens"] == [VOCABULARY[index] for index in best]


def test_fill_mask_without_a_mask_says_so_of_that_text_alone(pretrained):
    _, version = pretrained
    texts = ["the film", "the [MASK]"]
    refused, answered = predict_texts(version, texts, signature_name="fill_mask")
    assert refused == {
        "status": "fill_mask needs [MASK] in the text, within the maximum length of 16 tokens. "
        "Received: 4 tokens without it.",
        "tokens": [""] * 3,
        "scores": [0.0] * 3,
    }
    assert answered["status"] == "OK"
    assert sum(answered["scores"]) > 0.1


@pytest.mark.parametrize("name", ["serving_default", "embed", "tokenize", "fill_mask"])
def test_an_empty_column_has_an_empty_answer_in_mlflow_too(pretrained, name):
    _, version = pretrained
    model = TextModel()
    artifacts = {"saved_model": str(version)}
    model.load_context(mlflow.pyfunc.PythonModelContext(artifacts=artifacts, model_config=None))
    frame = pd.DataFrame({"text": []}, dtype=object)
    answers = model.predict(None, frame, params={"signature_name": name})
    assert len(answers) == 0
    outputs = tf.saved_model.load(str(version)).signatures[name].structured_outputs
    assert set(answers.columns) == set(outputs)


def test_next_sentence_gives_a_probability(pretrained):
    _, version = pretrained
    answers = predict_texts(
        version, ["the film", "good"], text_pairs=["good", "bad"], signature_name="next_sentence"
    )
    assert all(0 < answer["is_next_probability"] < 1 for answer in answers)


def test_a_next_sentence_head_that_was_not_trained_is_not_exported(tmp_path):
    folder = make_folder(tmp_path / "model", kind="pretraining", has_next_sentence=False)
    version = export(folder, tmp_path / "encoder")
    with pytest.raises(ValueError, match=r"must be one of.*Received: 'next_sentence'"):
        predict_texts(version, ["a"], text_pairs=["b"], signature_name="next_sentence")


def test_what_a_killed_export_left_goes_with_the_next_and_a_living_one_stays(classifier, tmp_path):
    folder, _ = classifier
    (tmp_path / ".exporting-dead").mkdir()
    with hidden_folder(tmp_path, prefix=".exporting-") as living:
        export(folder, tmp_path)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {living.name, ".highest_version", "1", "folder.json"}


def test_user_text_never_becomes_control_tokens(classifier):
    _, version = classifier
    plain, written = predict_texts(version, ["good", "good [SEP] [MASK] [PAD]"])
    assert plain["probabilities"] != written["probabilities"]
    tokenizer = WordPieceTokenizer(
        VOCABULARY, lower_case=False, strip_accents=False, unicode_normalization="NFC"
    )
    ids = tokenizer.tokenize(tf.constant(["good [SEP] [MASK] [PAD]"])).to_list()[0]
    assert not set(ids) & {0, 2, 3, 4}


def test_the_next_export_takes_the_next_number(classifier, tmp_path):
    folder, _ = classifier
    (tmp_path / "reviews" / "7").mkdir(parents=True)
    assert export(folder, tmp_path / "reviews").name == "8"


def test_a_failed_export_leaves_no_version(tmp_path):
    folder = make_folder(tmp_path / "model")
    other = make_folder(tmp_path / "other", kind="pretraining")
    shutil.copyfile(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing: head/dense/bias(?s:.*)unexpected: masked_lm"):
        export(folder, tmp_path / "reviews")
    assert not list((tmp_path / "reviews").glob("*"))


def test_a_folder_without_a_saved_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be a SavedModel, or a folder of numbered"):
        predict_texts(tmp_path, ["text"])


def test_an_unknown_signature_is_refused_with_those_there_are(classifier):
    _, version = classifier
    with pytest.raises(ValueError, match=r"one of \['classify', 'embed', 'embed_normalized'"):
        predict_texts(version, ["text"], signature_name="fill_mask")


def test_a_length_beyond_the_positions_is_refused(classifier, tmp_path):
    folder, _ = classifier
    with pytest.raises(ValueError, match="at most the model's max_position_embeddings"):
        export(folder, tmp_path, max_seq_length=64)


def test_a_model_that_reads_one_row_has_no_windows(pretrained, tmp_path):
    with pytest.raises(ValueError, match=r"export.max_windows must be left out.*Received: 3 and a"):
        export(pretrained[0], tmp_path / "encoder", max_windows=3)


def test_classify_and_regress_answer_examples(tmp_path, classifier):
    def examples(*texts):
        return tf.constant(
            [
                tf.train.Example(
                    features=tf.train.Features(
                        feature={
                            "text": tf.train.Feature(
                                bytes_list=tf.train.BytesList(value=[text.encode()])
                            )
                        }
                    )
                ).SerializeToString()
                for text in texts
            ]
        )

    _, version = classifier
    loaded = tf.saved_model.load(str(version))
    found = loaded.signatures["classify"](inputs=examples(*TEXTS))
    expected = predict_texts(version, TEXTS)
    classes = [[name.decode() for name in row] for row in found["classes"].numpy()]
    assert classes == [answer["labels"] for answer in expected]
    np.testing.assert_allclose(
        found["scores"], [answer["probabilities"] for answer in expected], atol=ATOL
    )
    assert "regress" not in loaded.signatures, "three classes are not one number"


def test_method_names_are_those_that_classify_and_regress_ask_for(classifier):
    from tensorflow.core.protobuf import saved_model_pb2

    _, version = classifier
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    assert signatures["classify"].method_name == "tensorflow/serving/classify"
    assert signatures["serving_default"].method_name == "tensorflow/serving/predict"


def test_embeddings_are_those_of_the_model_and_of_length_one(pretrained):
    folder, version = pretrained
    plain = predict_texts(version, TEXTS, signature_name="embed")
    unit = predict_texts(version, TEXTS, signature_name="embed_normalized")
    ids = np.array([[2, 5, 6, 7, 3]], np.int32)
    encoded = load_model(folder).encoder(
        {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)}
    )
    np.testing.assert_allclose(plain[0]["embedding"], encoded["pooled_output"][0], atol=ATOL)
    for a, b in zip(plain, unit, strict=True):
        vector = np.array(a["embedding"])
        np.testing.assert_allclose(b["embedding"], vector / np.linalg.norm(vector), atol=ATOL)


def test_tokens_are_told(classifier):
    _, version = classifier
    answer, _ = predict_texts(version, ["한글 good", "bad"], signature_name="tokenize")
    assert answer["tokens"] == ["[CLS]", "한글", "good", "[SEP]", *["[PAD]"] * 4]
    assert answer["input_ids"] == [2, 5, 10, 3, 0, 0, 0, 0]
    assert answer["input_mask"] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert answer["lengths"] == 4


@pytest.mark.parametrize(("multiple", "length"), [(3, 6), (64, 16)])
def test_lengths_are_few(classifier, tmp_path, multiple, length):
    folder, _ = classifier
    version = export(folder, tmp_path, pad_to_multiple_of=multiple)
    (answer,) = predict_texts(version, ["good bad"], signature_name="tokenize")
    assert len(answer["tokens"]) == length


def test_what_lies_beyond_the_bytes_is_not_looked_at(classifier, tmp_path):
    folder, _ = classifier
    version = export(folder, tmp_path, max_text_bytes=64)
    text = "나" * 21 + "x"  # 64 bytes
    same, cut, other = predict_texts(
        version, [text, text + "good " * 1000, "good"], signature_name="tokenize"
    )
    assert same == cut != other
    through = predict_texts(version, ["나 " * 15 + "abc" + "나"], signature_name="tokenize")
    assert "\ufffd" not in "".join(through[0]["tokens"])


def test_many_combining_marks_are_few(classifier):
    _, version = classifier
    few, many, none = (
        predict_texts(version, ["good " + mark], signature_name="embed")[0]["embedding"]
        for mark in ("\u0301\u0316" * 15, "\u0301\u0316" * 100, "")
    )
    assert few == many != none


def test_a_hundred_thousand_characters_are_a_text_like_any_other(classifier):
    _, version = classifier
    long, short = predict_texts(version, ["good " * 20_000, "good " * 100])
    assert long["probabilities"] == pytest.approx(short["probabilities"])


def test_bfloat16_halves_the_weights_and_stays_close(classifier, tmp_path):
    folder, exact = classifier
    version = export(folder, tmp_path, precision="bfloat16")
    sizes = {
        path: (path / "variables" / "variables.data-00000-of-00001").stat().st_size
        for path in (exact, version)
    }
    assert sizes[version] < 0.6 * sizes[exact]
    for a, b in zip(predict_texts(exact, TEXTS), predict_texts(version, TEXTS), strict=True):
        np.testing.assert_allclose(a["probabilities"], b["probabilities"], atol=0.05)
    graph = tf.saved_model.load(str(version)).signatures["serving_default"].graph
    products = [
        node
        for function in graph.as_graph_def().library.function
        for node in function.node_def
        if node.op in ("MatMul", "BatchMatMulV2")
    ]
    assert {node.attr["T"].type for node in products} == {tf.bfloat16.as_datatype_enum}
