"""A row's answer is its own: alone, and beside longer and hostile rows as TF Serving batches."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.text.windows import TextLimits
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.batching_check import make_batches
from bert_tf.exporting.hostile_rows import TEXTS, examples, hostile_request
from bert_tf.exporting.int8 import quantize
from bert_tf.exporting.servability import check_file
from bert_tf.exporting.serving_ops import missing_in_older
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.texts import TextInputs
from bert_tf.exporting.warmup import TEXTS as GOOD_TEXTS
from bert_tf.exporting.warmup import input_names, make_requests
from bert_tf.layers.tensorflow.bfloat16 import units_assumed
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.models import build_model
from bert_tf.tasks.table import task_of
from serving import errors
from serving.server.servable import Servable
from tests.exporting.test_saved_model import ARCHITECTURE, ATOL, VOCABULARY

OK = b"OK"
PAIRS = {"kind": "classification", "class_names": ("bad", "good"), "has_text_pairs": True}
TOKEN_LABELS = {"kind": "token_labels", "class_names": ("O", "B-A", "I-A", "B-B", "I-B")}
KINDS = {
    "classification": {"class_names": ("bad", "good")},
    "pairs": PAIRS,
    "multi_label": {"class_names": ("a", "b", "c")},
    "regression": {},
    "encoder": {"pooling": "mean"},
    "pretraining": {},
    "token_classification": {"class_names": ("O", "B", "I")},
    "question_answering": {},
    "questions in windows": {"kind": "question_answering", "max_windows": 3},
    "token_labels in windows": {**TOKEN_LABELS, "max_windows": 3, "window_stride": 5},
    "pairs in windows": {**PAIRS, "max_windows": 3},
    "token_labels": TOKEN_LABELS,
    "token_labels as sequences": {**TOKEN_LABELS, "task_state": {"settings": {"crf": True}}},
    "multiple_choice": {},
    "choices in windows": {"kind": "multiple_choice", "max_windows": 3},
}


def description_of(name):
    settings = {"kind": name, **KINDS[name]}
    return ModelDescription(architecture=ARCHITECTURE, max_seq_length=16, **settings)


@pytest.fixture(scope="module")
def serving_models():
    made = {}

    def make(name, precision="float32"):
        dtype = "float32" if precision == "int8" else precision
        if (name, precision) not in made:
            description = description_of(name)
            tokenizer = WordPieceTokenizer(
                VOCABULARY, lower_case=False, strip_accents=False, unicode_normalization="NFC"
            )
            texts = TextInputs(tokenizer, TextLimits(16), pad_to_multiple_of=8)
            model = build_model(description, dtype=dtype)
            model.encoder.skips_padding = True
            for weight in model.weights:
                if weight.name == "bias":  # zeros, by which padding would look like a zero
                    weight.assign(np.linspace(0.2, 0.8, weight.shape.num_elements()))
            rounds = dtype == "bfloat16"
            if precision == "int8":
                quantize(model, [calibration_inputs(texts, description)])
            with units_assumed() if rounds else contextlib.nullcontext():  # as an export does
                made[name, precision] = ServingModel(model, texts, description, top_k=3)
        return made[name, precision]

    return make


def calibration_inputs(texts, description):
    inputs = texts(tf.constant(["good film", "the 한글 좋아요 .", "bad " * 20]))
    if description.kind == "pretraining":
        inputs["masked_lm_positions"] = tf.ones_like(inputs["input_ids"][:, :2])
    return inputs


def ask(model, name, arguments):
    function = model.answers[name]
    specs = function.structured_input_signature[0]
    dtypes = {spec.name: spec.dtype for spec in specs}
    outputs = function(**{key: tf.constant(it, dtypes[key]) for key, it in arguments.items()})
    return {key: value.numpy() for key, value in outputs.items()}


def hostile(model, name):
    names = input_names(model.answers[name])
    return hostile_request(names, vocab_size=len(VOCABULARY), num_segments=2)


def token_rows(*rows, segments=0, width=None):
    """Ids as a client sends them: `width` columns, or as many as the longest has."""
    width = width or max(map(len, rows))
    input_ids = np.array([[*row, *[0] * (width - len(row))] for row in rows], np.int32)
    return {
        "input_ids": input_ids,
        "segment_ids": np.full_like(input_ids, segments),
        "lengths": np.array([len(row) for row in rows], np.int32),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_signature_answers_alone_as_in_a_batch_with_hostile_rows(serving_models, kind):
    model, description = serving_models(kind), description_of(kind)
    task = task_of(description)
    texts = (task and task.warmup_texts()) or [(text,) for text in GOOD_TEXTS]
    requests = make_requests(model.answers, model.text_inputs, texts, methods=model.methods)
    batches = make_batches(requests, description, pad_id=model.tokenizer.pad_id)
    assert {batch.signature_name for batch in batches} == set(model.answers)
    for batch in batches:
        answers = [
            ask(model, request.signature_name, request.arguments) for request in batch.requests()
        ]
        assert batch.faults(answers) == []
        assert all(
            np.isfinite(value).all()
            for answer in answers
            for value in answer.values()
            if value.dtype.kind == "f" and batch.signature_name != "regress"
        )


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, "float32") for kind in KINDS),
        *((kind, "bfloat16") for kind in ("regression", "encoder", "token_classification")),
        ("token_labels", "bfloat16"),
        ("multiple_choice", "bfloat16"),
        *((kind, "int8") for kind in ("regression", "pretraining")),
    ],
)
def test_no_row_has_no_answer(serving_models, kind, dtype):
    model = serving_models(kind, dtype)
    for name in model.answers:
        none = {key: value[:0] for key, value in hostile(model, name).items()}
        one = ask(model, name, hostile(model, name))
        for key, value in ask(model, name, none).items():
            assert value.shape[0] == 0
            assert (value.ndim, value.dtype) == (one[key].ndim, one[key].dtype)


@pytest.mark.parametrize("kind", ["pairs", "pretraining", "token_classification"])
def test_an_empty_column_of_json_has_an_empty_answer(serving_models, kind, tmp_path):
    """`[]` has one dimension, whatever the signature says of its input."""
    model = serving_models(kind)
    tf.saved_model.save(model, str(tmp_path), signatures=model.answers)
    servable = Servable(tmp_path)
    for name, function in model.answers.items():
        specs = function.structured_input_signature[0]
        columns = {spec.name: np.zeros([0], spec.dtype.as_numpy_dtype) for spec in specs}
        one = ask(model, name, hostile(model, name))
        answer = servable.predict(columns, signature_name=name)
        assert answer.keys() == one.keys()
        for key, value in answer.items():
            assert (value.shape[0], value.ndim, value.dtype) == (0, one[key].ndim, one[key].dtype)
    flat = {name: np.array([2], np.int32) for name in ("input_ids", "segment_ids", "lengths")}
    with pytest.raises(errors.InvalidArgumentError):
        servable.predict(flat, signature_name="token_ids")
    answer = servable.predict(token_rows([2, -5, 3], [2, 5, 3]), signature_name="token_ids")
    assert [status == OK for status in answer["status"]] == [False, True]
    servable.close()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "choice" not in kind])
def test_what_fills_rows_up_is_never_read(serving_models, kind):
    """Whatever stands behind a row, in whatever number."""
    model = serving_models(kind)
    alone = ask(model, "token_ids", token_rows([2, 5, 6, 3]))
    for filled, width in ((1, 9), (-7, 40), (2**31 - 1, 5000)):
        row = token_rows([2, 5, 6, 3], width=width)
        row["input_ids"][:, 4:] = filled
        row["segment_ids"][:, 4:] = filled
        answer = ask(model, "token_ids", row)
        assert answer.keys() == alone.keys()
        for name, value in answer.items():
            assert value.shape == alone[name].shape, "nor does it cost anything"
            if value.dtype.kind == "f":
                np.testing.assert_allclose(value, alone[name], atol=ATOL)
            else:
                assert (value == alone[name]).all()


def test_what_is_longer_because_of_others_is_zero(serving_models):
    model = serving_models("token_classification")
    together = ask(model, "token_ids", token_rows([2, 5, 3], [2, 5, 6, 7, 5, 3]))
    alone = ask(model, "token_ids", token_rows([2, 5, 3]))
    assert together["logits"].shape == (2, 6, 3)
    np.testing.assert_allclose(together["logits"][0, :3], alone["logits"][0], atol=ATOL)
    assert not together["logits"][0, 3:].any()
    assert together["logits"][1].all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input_ids": [2, -5, 3]}, b"input_ids must be from 0 to 20. Received: -5 at position 1."),
        ({"input_ids": [2, 5, 21]}, b"input_ids must be from 0 to 20. Received: 21 at position 2."),
        (
            {"segment_ids": [7, 0, 0]},
            b"segment_ids must be from 0 to 1. Received: 7 at position 0.",
        ),
        ({"segment_ids": [0, 0, -1]}, b"must be from 0 to 1. Received: -1 at position 2."),
        ({"lengths": 0}, b"lengths must be from 1 to 32. Received: 0."),
        ({"lengths": -(2**31)}, b"lengths must be from 1 to 32. Received: -2147483648."),
        ({"lengths": 33}, b"lengths must be from 1 to 32. Received: 33."),
        ({"lengths": 4}, b"at most the ids and the segments of the row. Received: 4."),
    ],
)
def test_a_row_of_ids_that_is_wrong_says_so_beside_one_that_is_right(serving_models, row, message):
    model = serving_models("classification")
    good = ask(model, "token_ids", token_rows([2, 5, 3]))
    request = token_rows([2, 5, 3], [2, 5, 3])
    for name, value in row.items():
        request[name][1] = value
    answer = ask(model, "token_ids", request)
    assert answer["status"][0] == OK
    np.testing.assert_allclose(answer["probabilities"][0], good["probabilities"][0], atol=ATOL)
    assert message in answer["status"][1]
    assert not answer["probabilities"][1].any()
    assert (answer["label"][1], answer["labels"][1].tolist()) == (b"", [b"", b""])


def test_inputs_of_ids_with_other_numbers_of_rows_are_an_error(serving_models):
    model = serving_models("classification")
    request = token_rows([2, 5, 3], [2, 6, 3])
    for name in request:
        with pytest.raises(tf.errors.InvalidArgumentError, match="the same number of rows"):
            ask(model, "token_ids", {**request, name: request[name][:1]})


def test_fewer_segments_than_ids_are_the_rows_own_fault(serving_models):
    model = serving_models("classification")
    request = token_rows([2, 5, 6, 7, 3], [2, 3])
    request["segment_ids"] = request["segment_ids"][:, :2]
    answer = ask(model, "token_ids", request)
    assert b"at most the ids and the segments" in answer["status"][0]
    assert answer["status"][1] == OK


def test_a_text_without_a_mask_is_told_beside_one_with_it(serving_models):
    model = serving_models("pretraining")
    texts = np.array([b"the [MASK] film", b"secret film", b"good " * 15 + b"[MASK]"], object)
    answer = ask(model, "fill_mask", {"text": texts})
    alone = ask(model, "fill_mask", {"text": texts[:1]})
    assert answer["status"][0] == alone["status"][0] == OK
    assert answer["tokens"][0].tolist() == alone["tokens"][0].tolist()
    np.testing.assert_allclose(answer["scores"][0], alone["scores"][0], atol=ATOL)
    assert answer["status"][1] == (
        b"fill_mask needs [MASK] in the text, within the maximum length of 16 tokens. "
        b"Received: 4 tokens without it."
    )
    assert b"16 tokens without it" in answer["status"][2], "cut away"
    assert not answer["scores"][1:].any()
    assert set(answer["tokens"][1:].ravel()) == {b""}


def test_a_row_without_choices_says_so_beside_rows_with_any_number(serving_models):
    model = serving_models("multiple_choice")
    good = [b"good\nbad", b" film \r\nthe\nbad\r\n", b"the\nbroken \xff\xfe bytes"]
    good.append(b"\n".join(b"good " * number for number in range(1, 101)))
    number = b"choices must be from 2 to 100 lines. Received: %d."
    faults = {
        b"": number % 1,
        b"only": number % 1,
        b"only\n": number % 1,
        b"line\n" * 10_000: number % 10_000,
        b"\n" * 1_000_000: number % 1_000_000,
        b"a\n \t\nb": b"every line of choices must hold one. Received: an empty line, number 1.",
        b"\nfirst": b"every line of choices must hold one. Received: an empty line, number 0.",
    }
    rows = [good[0], *faults, *good[1:]]
    columns = {"text": [b"the film"] * len(rows), "choices": rows}
    found = ask(model, "serving_default", {k: np.array(v, object) for k, v in columns.items()})
    is_good = np.array([row in good for row in rows])
    assert found["status"][is_good].tolist() == [OK] * 4
    assert found["status"][~is_good].tolist() == list(faults.values())
    assert found["num_choices"][is_good].tolist() == [2, 3, 2, 100]
    assert found["choice"][~is_good].tolist() == [-1] * len(faults)
    assert set(found["choice_text"][~is_good]) == {b""}
    assert not found["probabilities"][~is_good].any()
    assert not found["score"][~is_good].any()
    assert found["probabilities"].shape == (len(rows), 100)
    np.testing.assert_allclose(found["probabilities"][is_good].sum(axis=1), 1.0, atol=ATOL)
    for row, lines in enumerate(rows):
        one = {"text": np.array([b"the film"], object), "choices": np.array([lines], object)}
        alone = ask(model, "serving_default", one)
        assert alone["choice"][0] == found["choice"][row]
        assert alone["choice_text"][0] == found["choice_text"][row]
        width = alone["probabilities"].shape[1]
        assert width == found["num_choices"][row]
        np.testing.assert_allclose(
            alone["probabilities"][0], found["probabilities"][row, :width], atol=ATOL
        )
    texts = {text.decode() for text in found["choice_text"][is_good]}
    assert texts <= {"good", "bad", "film", "the", "broken \ufffd\ufffd bytes"} | {
        " ".join(["good"] * number) for number in range(1, 101)
    }


def feature(**lists):
    """A serialised `tf.Example`."""
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    example = tf.train.Example()
    for name, values in lists.items():
        if values:
            getattr(example.features.feature[name], kinds[type(values[0])]).value.extend(values)
        else:
            example.features.feature[name].bytes_list.SetInParent()
    return example.SerializeToString()


WRONG_EXAMPLES = [
    feature(),
    b"",
    feature(text=[]),
    feature(text=[b"good", b"bad"]),
    feature(text=[1.0]),
    feature(text=[1, 2]),
    feature(other=[b"good"]),
]


def test_examples_without_one_text_have_no_class_and_no_number(serving_models):
    model = serving_models("classification")
    good = [feature(text=[b"good film"]), feature(text=[b""]), feature(text=[b"bad"], more=[1.0])]
    rows = {"inputs": np.array([good[0], *WRONG_EXAMPLES, *good[1:]], object)}
    texts = np.array([b"good film", b"", b"bad"], object)
    expected = ask(model, "serving_default", {"text": texts})
    found = ask(model, "classify", rows)
    is_good = np.array([True, *[False] * len(WRONG_EXAMPLES), True, True])
    np.testing.assert_allclose(found["scores"][is_good], expected["probabilities"], atol=ATOL)
    assert found["classes"][is_good].tolist() == [[b"bad", b"good"]] * 3
    assert not found["scores"][~is_good].any()
    assert set(found["classes"][~is_good].ravel()) == {b""}
    outputs = ask(model, "regress", rows)["outputs"]
    np.testing.assert_allclose(outputs[is_good], expected["probabilities"][:, 1], atol=ATOL)
    assert np.isnan(outputs[~is_good]).all()


def test_an_example_of_pairs_needs_both(serving_models):
    model = serving_models("pairs")
    rows = [feature(text=[b"good"], text_pair=[b"bad"]), feature(text=[b"good"])]
    rows += [feature(text_pair=[b"bad"]), feature(text=[b"good"], text_pair=[1])]
    classes = ask(model, "classify", {"inputs": np.array(rows, object)})["classes"]
    assert classes.tolist() == [[b"bad", b"good"], *[[b"", b""]] * 3]


def test_an_example_of_many_features_changes_nothing(serving_models):
    """Long ones are decoded one at a time."""
    model = serving_models("classification")
    many = feature(text=[b"bad"], **{f"other_{number}": [b"x" * 9] for number in range(5000)})
    assert len(many) > 1 << 16
    rows = [feature(text=[b"good"]), feature(text=[1]), many]
    found = ask(model, "classify", {"inputs": np.array(rows, object)})
    alone = [ask(model, "classify", {"inputs": np.array([row], object)}) for row in rows]
    for number, row in enumerate(alone):
        np.testing.assert_allclose(found["scores"][number], row["scores"][0], atol=ATOL)
    assert found["classes"][1].tolist() == [b"", b""]


def test_hostile_rows_are_of_all_kinds():
    assert len(TEXTS) == len(set(TEXTS))
    assert max(map(len, TEXTS)) == 1_000_000
    assert len(set(examples())) == len(examples())


@pytest.mark.parametrize(
    "kind", ["pairs", "encoder", "pretraining", "token_classification", "multiple_choice"]
)
def test_no_release_that_is_known_lacks_an_operation(serving_models, kind, tmp_path):
    model = serving_models(kind)
    tf.saved_model.save(model, str(tmp_path), signatures=model.answers)
    for version in missing_in_older():
        (operations, *_) = check_file(tmp_path, serving_version=version)
        assert operations.faults == ()
    assert "lacks" not in operations.detail
