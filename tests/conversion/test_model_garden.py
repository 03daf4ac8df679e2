"""tf-models-official's TF2 checkpoints in; the numbers are computed by that library, live."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from bert_tf.conversion.convert import detect_format, load_checkpoint
from bert_tf.models.tensors import weights_by_name
from tests.conversion import model_garden_reference as reference
from tests.conversion.our_results import our_results

GOLDEN = Path(__file__).parents[1] / "golden" / "model_garden"
# A functional encoder complains of the positions that the pretrainer passes on to it.
pytestmark = pytest.mark.filterwarnings("ignore:.*Input dict contained keys:UserWarning")
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def batch():
    with np.load(GOLDEN.with_name("google_bert") / "batch.npz") as arrays:
        return dict(arrays)


def weights_of(model):
    return {name: np.asarray(w) for name, w in weights_by_name(model.network).items()}


@pytest.mark.parametrize("case", reference.CASES)
def test_outputs_loss_and_every_gradient_are_model_gardens(case, batch, tmp_path):
    model = load_checkpoint(GOLDEN / case)
    assert detect_format(GOLDEN / case) == "model-garden"
    assert model.description.kind == case.split("_")[0].replace("pretrainer", "pretraining")
    outputs, loss, gradients = our_results(model, batch)
    theirs = reference.restore(case, GOLDEN / case)
    with tf.GradientTape() as tape:
        expected, expected_loss = reference.results(case, theirs, batch)
    np.testing.assert_allclose(loss, float(expected_loss), **TOLERANCE)
    assert expected.keys() <= outputs.keys()
    is_token = batch["input_mask"].astype(bool)
    for name, value in expected.items():
        where = is_token if name == "sequence_output" else ...
        np.testing.assert_allclose(
            outputs[name][where], value.numpy()[where], **TOLERANCE, err_msg=name
        )
    # Saved in place of the weights, Model Garden's gradients are read as ours.
    found = tape.gradient(expected_loss, theirs.trainable_weights)
    reference.assign(theirs.trainable_weights, found)
    reference.save(case, theirs, tmp_path / case, is_trained=False)
    expected_gradients = weights_of(load_checkpoint(tmp_path / case))
    assert gradients.keys() == expected_gradients.keys()
    assert sum(bool(value.any()) for value in gradients.values()) >= len(gradients) - 2
    for name, value in expected_gradients.items():
        np.testing.assert_allclose(gradients[name], value, **TOLERANCE, err_msg=name)


@pytest.mark.parametrize(
    ("case", "heads"),
    [
        ("pretrainer", (True, True)),
        ("pretrainer_v2", (True, True)),
        ("pretrainer_masked_lm", (True, False)),
        ("pretrainer_old", (True, True)),
    ],
)
def test_the_heads_are_those_that_are_there(case, heads):
    description = load_checkpoint(GOLDEN / case).description
    assert (description.has_masked_lm, description.has_next_sentence) == heads
    expected = "relu" if case == "pretrainer" else None
    assert description.architecture.masked_lm_act == expected


def test_checkpoint_items_alone_and_weights_saved_by_keras(tmp_path, caplog):
    model = reference.build("pretrainer", seed=0)
    items = tf.train.Checkpoint(**model.checkpoint_items)
    folder = tmp_path / "items"
    folder.mkdir()
    items.write(str(folder / "ckpt"))
    shutil.copy(GOLDEN / "pretrainer" / "params.yaml", folder)
    with caplog.at_level(logging.WARNING):
        loaded = load_checkpoint(folder)
    assert (loaded.description.has_masked_lm, loaded.description.has_next_sentence) == (True, False)
    assert "The pooler is that of the classification head" in caplog.text
    pooler = model.classification_heads[0].dense.kernel.numpy()
    weights = weights_of(loaded)
    np.testing.assert_array_equal(weights["encoder/pooler/dense/kernel"], pooler)

    folder = tmp_path / "weights"
    model.encoder_network.save_weights(str(folder / "ckpt"))
    (folder / "checkpoint").unlink()
    shutil.copy(GOLDEN / "pretrainer" / "params.yaml", folder)
    again = weights_of(load_checkpoint(folder))
    name = "encoder/layer_1/attention/query_key_value/kernel"
    np.testing.assert_array_equal(again[name], weights[name])


def edited(tmp_path, case, *, tensors=None, config=None, encoder=None):
    """A copy of a golden folder with tensors and settings changed (None removes one)."""
    folder = tmp_path / case
    shutil.copytree(GOLDEN / case, folder)
    if tensors is not None:
        (index,) = folder.glob("*.index")
        prefix = str(index.with_suffix(""))
        reader = tf.train.load_checkpoint(prefix)
        names = reader.get_variable_to_shape_map()
        kept = {name: reader.get_tensor(name) for name in names} | tensors
        kept = {name: tensor for name, tensor in kept.items() if tensor is not None}
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=list(kept),
            shape_and_slices=[""] * len(kept),
            tensors=list(kept.values()),
        )
    if config is not None:
        path = folder / "bert_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if encoder is not None:
        path = folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        params["task"]["model"]["encoder"]["bert"].update(encoder)
        path.write_text(yaml.safe_dump(params))
    return folder


def test_all_missing_unexpected_and_misshaped_tensors_stand_in_one_error(tmp_path):
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    key = f"encoder/layer_with_weights-5/_attention_layer/_key_dense/kernel{value}"
    folder = edited(
        tmp_path,
        "encoder",
        tensors={
            key: None,
            f"encoder/layer_with_weights-6/kernel{value}": np.zeros((24, 12), np.float32),
            f"something/else{value}": np.zeros(1, np.float32),
        },
    )
    with pytest.raises(ValueError, match=r"bert_model\.ckpt-1: tensors must fit") as caught:
        load_checkpoint(folder)
    for line in (
        f"missing: {key}",
        f"unexpected: something/else{value}",
        f"shape of encoder/layer_with_weights-6/kernel{value}: (24, 12) in the file, (24, 24)",
    ):
        assert line in str(caught.value)


def test_another_number_of_layers_or_heads_than_described_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"missing: .*_transformer_layers/2/") as caught:
        load_checkpoint(edited(tmp_path / "a", "pretrainer_v2", config={"num_hidden_layers": 3}))
    assert "unexpected" not in str(caught.value)
    with pytest.raises(ValueError, match=r"unexpected: .*_transformer_layers/1/"):
        load_checkpoint(edited(tmp_path / "b", "pretrainer_v2", config={"num_hidden_layers": 1}))
    with pytest.raises(ValueError, match=r"\(24, 3, 8\) in the file, \(24, 4, 6\) wanted"):
        load_checkpoint(edited(tmp_path / "c", "encoder", config={"num_attention_heads": 4}))
    with pytest.raises(
        ValueError, match=r"missing: encoder/layer_with_weights-6/_attention_layer/"
    ):
        load_checkpoint(edited(tmp_path / "d", "encoder", config={"num_hidden_layers": 3}))


def test_every_unsupported_setting_is_listed(tmp_path):
    changes = {
        "norm_first": True,
        "embedding_size": 12,
        "hidden_activation": "swish",
        "output_range": 1,
    }
    folder = edited(tmp_path, "pretrainer", encoder=changes)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["task"]["model"]["cls_heads"][0]["activation"] = "relu"
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ValueError, match=r"params\.yaml: must describe a BERT") as caught:
        load_checkpoint(folder)
    for line in (
        "encoder.norm_first=True",
        "encoder.embedding_size=12, where only 24",
        "encoder.hidden_activation='swish'",
        "encoder.output_range=1",
        "cls_heads[0].activation='relu', where only 'tanh'",
    ):
        assert line in str(caught.value)

    params["task"]["model"]["encoder"] = {"type": "albert", "albert": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ValueError, match=r"encoder\.type='albert'"):
        load_checkpoint(folder)
    (folder / "params.yaml").write_text("runtime: {}\n")
    with pytest.raises(ValueError, match=r"params\.yaml: must hold task\.model\.encoder"):
        load_checkpoint(folder)


def test_another_object_than_bert_is_refused(tmp_path):
    shutil.copy(GOLDEN / "encoder" / "bert_config.json", tmp_path)
    tf.train.Checkpoint(thing=tf.Variable(1.0)).write(str(tmp_path / "ckpt"))
    with pytest.raises(ValueError, match=r"must hold a BERT encoder.*objects.*thing"):
        load_checkpoint(tmp_path)


def test_a_truncated_file_is_named(tmp_path):
    folder = edited(tmp_path, "encoder")
    (data,) = folder.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"bert_model\.ckpt-1: must be a whole TensorFlow"):
        load_checkpoint(folder)


def test_the_vocabulary_is_googles(tmp_path):
    folder = edited(tmp_path, "encoder")
    shutil.copy(GOLDEN.with_name("google_bert") / "pretraining" / "vocab.txt", folder)
    tokenizer = load_checkpoint(folder).tokenizer
    assert tokenizer.settings["lower_case"] is True
    assert tokenizer.vocab_size == 60
