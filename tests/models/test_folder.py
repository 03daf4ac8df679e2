"""Model folders: every kind of model comes back bit-equal, and a wrong file sets nothing."""

import json
import logging

import numpy as np
import pytest
import safetensors.numpy

from bert_tf.models.description import ModelDescription, load_description
from bert_tf.models.folder import load_encoder, save_model
from bert_tf.models.tensors import weights_by_name
from bert_tf.tasks.models import build_model, load_model
from tests.references import ARCHITECTURE, random_batch, randomize

MODELS = {
    "encoder": {"kind": "encoder"},
    "encoder, mean of tokens, no pooler": {
        "kind": "encoder",
        "has_pooler": False,
        "pooling": "mean",
        "normalize_embeddings": True,
    },
    "pretraining": {"kind": "pretraining"},
    "pretraining, masked-LM head": {"kind": "pretraining", "has_next_sentence": False},
    "pretraining, masked-LM head, no pooler": {
        "kind": "pretraining",
        "has_next_sentence": False,
        "has_pooler": False,
    },
    "pretraining, next-sentence head": {"kind": "pretraining", "has_masked_lm": False},
    "classification": {
        "kind": "classification",
        "class_names": ("부정", "중립", "긍정"),
        "classifier_dropout_prob": 0.1,
        "has_text_pairs": True,
    },
    "token classification": {"kind": "token_classification", "class_names": ("O", "B", "I")},
    "token classification, no pooler": {
        "kind": "token_classification",
        "class_names": ("O", "B", "I"),
        "has_pooler": False,
    },
    "question answering": {"kind": "question_answering"},
}


def describe(**about):
    architecture = about.pop("architecture", ARCHITECTURE)
    return ModelDescription(**{"max_seq_length": 20, **about}, architecture=architecture)


def saved(folder, *, seed=0, **about):
    """A model with random weights, written to `folder`."""
    description = describe(**about)
    model = build_model(description)
    randomize(model, seed=seed)
    save_model(model, description, folder)
    return model


def values(model, *, part=""):
    weights = weights_by_name(model)
    return {name: np.asarray(w).copy() for name, w in weights.items() if name.startswith(part)}


def assert_equal(received, expected):
    assert received.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(received[name], value, err_msg=name)


@pytest.mark.parametrize("about", MODELS.values(), ids=MODELS)
def test_every_kind_of_model_comes_back_bit_equal(about, tmp_path):
    model = saved(tmp_path, **about)
    assert load_description(tmp_path) == describe(**about)
    again = load_model(tmp_path)
    assert type(again) is type(model)
    assert_equal(values(again), values(model))
    received, expected = again(random_batch()), model(random_batch())
    if not isinstance(expected, dict):
        received, expected = {"logits": received}, {"logits": expected}
    assert received.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(np.asarray(received[name]), np.asarray(expected[name]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_outputs_are_those_of_the_heads_that_the_description_names(tmp_path):
    outputs = {
        name: set(build_model(describe(**MODELS[name]))(random_batch()))
        for name in MODELS
        if name.startswith(("encoder", "pretraining"))
    }
    assert outputs == {
        "encoder": {"sequence_output", "pooled_output", "embedding"},
        "encoder, mean of tokens, no pooler": {"sequence_output", "embedding"},
        "pretraining": {"masked_lm_logits", "next_sentence_logits"},
        "pretraining, masked-LM head": {"masked_lm_logits"},
        "pretraining, masked-LM head, no pooler": {"masked_lm_logits"},
        "pretraining, next-sentence head": {"next_sentence_logits"},
    }


def test_query_key_and_value_are_three_tensors_in_the_file_and_all_are_float32(tmp_path):
    description = describe(kind="pretraining")
    model = build_model(description, dtype="mixed_bfloat16")
    randomize(model)
    save_model(model, description, tmp_path)
    stored = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {np.dtype("float32")}
    assert not any("query_key_value" in name for name in stored)
    weights = values(model)
    for part in ("kernel", "bias"):
        fused = weights[f"encoder/layer_1/attention/query_key_value/{part}"]
        for name, expected in zip(
            ("query", "key", "value"), np.split(fused, 3, axis=-1), strict=True
        ):
            tensor = stored[f"encoder/layer_1/attention/{name}/{part}"]
            np.testing.assert_array_equal(tensor, expected)
    others = {name: value for name, value in weights.items() if "query_key_value" not in name}
    assert_equal({name: stored[name] for name in others}, others)
    assert len(stored) == len(weights) + 2 * 2 * ARCHITECTURE.num_hidden_layers


def edit(folder, changes):
    """Replace tensors of the file; None removes one."""
    path = folder / "model.safetensors"
    stored = safetensors.numpy.load_file(path) | changes
    kept = {name: tensor for name, tensor in stored.items() if tensor is not None}
    safetensors.numpy.save_file(kept, path)


def test_all_that_does_not_fit_stands_in_one_error_and_nothing_is_set(tmp_path):
    saved(tmp_path, kind="pretraining")
    edit(
        tmp_path,
        {
            "encoder/layer_0/attention/key/kernel": None,
            "encoder/embeddings/layer_norm/beta": None,
            "encoder/layer_2/output/bias": np.zeros(24, np.float32),
            "encoder/pooler/dense/kernel": np.zeros((24, 12), np.float32),
        },
    )
    model = build_model(describe(kind="classification", class_names=("a", "b")))
    before = values(model)
    for load in (lambda: load_encoder(model, tmp_path), lambda: load_model(tmp_path)):
        with pytest.raises(ValueError, match=r"model\.safetensors: .* name by name") as caught:
            load()
        for line in (
            "missing: encoder/layer_0/attention/key/kernel",
            "missing: encoder/embeddings/layer_norm/beta",
            "unexpected: encoder/layer_2/output/bias",
            "shape of encoder/pooler/dense/kernel: (24, 12) in the file, (24, 24) wanted",
        ):
            assert line in str(caught.value)
    assert_equal(values(model), before)


@pytest.mark.parametrize("num_bytes", [0, 5, 1000, -4])
def test_truncated_weights_are_named(num_bytes, tmp_path):
    saved(tmp_path, kind="encoder")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match=r"model\.safetensors: must be a whole safetensors file"):
        load_model(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.json: a model folder must hold"):
        load_model(tmp_path)
    saved(tmp_path, kind="encoder")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: the weights must be there"):
        load_model(tmp_path)


def test_encoder_is_loaded_from_a_model_of_another_kind(tmp_path):
    stored = saved(tmp_path, kind="pretraining")
    model = build_model(describe(kind="classification", class_names=("a", "b")))
    head = values(model, part="head/")
    load_encoder(model, tmp_path)
    assert_equal(values(model, part="encoder/"), values(stored, part="encoder/"))
    assert_equal(values(model, part="head/"), head)


def test_pooler_that_is_not_stored_stays_random_and_the_log_says_so(tmp_path, caplog):
    stored = saved(tmp_path, **MODELS["encoder, mean of tokens, no pooler"])
    model = build_model(describe(kind="classification", class_names=("a", "b")))
    pooler = values(model, part="encoder/pooler/")
    with caplog.at_level(logging.WARNING):
        load_encoder(model, tmp_path)
    assert "has no pooler: a new one is trained from random weights" in caplog.text
    assert_equal(values(model, part="encoder/pooler/"), pooler)
    encoder = values(stored, part="encoder/")
    assert_equal({name: values(model)[name] for name in encoder}, encoder)


def test_stored_pooler_is_left_out_of_a_model_without_one(tmp_path, caplog):
    stored = values(saved(tmp_path, kind="pretraining"), part="encoder/")
    model = build_model(describe(**MODELS["token classification, no pooler"]))
    with caplog.at_level(logging.WARNING):
        load_encoder(model, tmp_path)
    assert not caplog.text
    encoder = values(model, part="encoder/")
    assert stored.keys() - encoder.keys() == {
        "encoder/pooler/dense/kernel",
        "encoder/pooler/dense/bias",
    }
    assert_equal(encoder, {name: stored[name] for name in encoder})


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"kind": "encoder", "has_pooler": False}, r"has_pooler must be true.*kind='encoder'"),
        ({"kind": "classification", "has_pooler": False}, r"has_pooler must be true"),
        ({"kind": "pretraining", "has_pooler": False}, r"has_pooler must be true"),
        (
            {"kind": "pretraining", "has_masked_lm": False, "has_next_sentence": False},
            r"must have a head",
        ),
        ({"kind": "encoder", "pooling": "median"}, r"pooling"),
        ({"kind": "encoder", "activation": "gelu"}, r"activation"),
    ],
)
def test_invalid_descriptions_are_refused(about, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        describe(**about)
    written = {"max_seq_length": 20, "architecture": ARCHITECTURE.model_dump(), **about}
    (tmp_path / "model.json").write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"model\.json: not a description of a model"):
        load_description(tmp_path)


def test_description_that_is_no_json_or_of_another_version_is_named(tmp_path):
    saved(tmp_path, kind="encoder")
    path = tmp_path / "model.json"
    description = json.loads(path.read_text())
    for text, message in (
        (path.read_text()[:-5], r"model\.json:\d+: a description of a model must be JSON"),
        (
            json.dumps(description | {"format_version": 2}),
            r"model\.json: not a description of a model\. Received: format_version",
        ),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_model(tmp_path)


def test_a_kind_that_nobody_builds_is_refused():
    with pytest.raises(ValueError, match=r"kind must be one of .*Received: 'generation'"):
        build_model(describe(kind="generation"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(bad, tmp_path):
    saved(tmp_path, kind="encoder")
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    name = "encoder/layer_0/attention/query/kernel"
    tensors[name] = tensors[name].copy()
    tensors[name].flat[3] = bad
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=f"must be finite float32 .* infinity in {name}, 1 of "):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("config.json", "a folder of Hugging Face"),
        ("bert_config.json", "a checkpoint of Google's BERT"),
        ("params.yaml", "a checkpoint of tf-models-official"),
        ("task.json", "a preset of keras-nlp"),
        ("bert_model.ckpt.index", "a checkpoint of TensorFlow"),
    ],
)
def test_a_checkpoint_of_another_library_names_the_command_for_it(name, what, tmp_path):
    (tmp_path / name).touch()
    wanted = rf"Received: {what}. Turn it into .* `bert-tf convert --from {tmp_path} --to NEW_FOLD"
    with pytest.raises(FileNotFoundError, match=wanted):
        load_description(tmp_path)


def test_the_prefix_of_a_checkpoint_names_the_command_for_it(tmp_path):
    (tmp_path / "bert_model.ckpt.index").touch()
    with pytest.raises(FileNotFoundError, match=r"--from .*/bert_model.ckpt --to NEW_FOLDER"):
        load_description(tmp_path / "bert_model.ckpt")


def test_an_export_is_told_from_a_model_folder(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(FileNotFoundError, match="Received: a SavedModel, which cannot be trained"):
        load_description(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no such file. Give a folder that .* finished"):
        load_description(tmp_path / "absent")
