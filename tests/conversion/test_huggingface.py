"""Hugging Face's checkpoints in and out; the numbers are PyTorch's, stored under tests/golden."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from bert_tf.conversion import huggingface
from bert_tf.conversion.convert import convert_checkpoint, detect_format, load_checkpoint
from bert_tf.models.tensors import stored_tensors, weights_by_name
from tests.conversion.huggingface_reference import CLASSES, of_choices
from tests.conversion.our_results import our_results

GOLDEN = Path(__file__).parents[1] / "golden" / "huggingface"
OUTPUTS = {
    "prediction_logits": "masked_lm_logits",
    "seq_relationship_logits": "next_sentence_logits",
    "last_hidden_state": "sequence_output",
    "pooler_output": "pooled_output",
}
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def batch():
    return load_npz(GOLDEN / "batch.npz")


def load_npz(path):
    with np.load(path) as arrays:
        return dict(arrays)


def our_results_by_their_names(model, batch):
    """As `reference_results`, by the names of Hugging Face's parameters."""
    is_token = batch["input_mask"].astype(np.float32)
    if model.description.kind == "multiple_choice":
        batch = of_choices(batch)
        num_texts = len(batch["input_ids"])
        batch |= {
            "document_columns": np.zeros_like(batch["input_ids"]),
            "choice_windows": np.ones((num_texts, 2), np.int32),
        }
    is_of_tokens = model.description.kind == "token_classification"
    labels = batch | {
        "masked_lm_weights": np.ones(batch["masked_lm_ids"].shape, np.float32),
        "labels": batch["token_labels" if is_of_tokens else "labels"],
        "weights": is_token if is_of_tokens else np.ones(len(batch["input_ids"]), np.float32),
    }
    outputs, loss, gradients = our_results(model, labels)
    if model.description.kind == "question_answering":
        start, end = np.moveaxis(outputs["logits"], -1, 0)
        outputs = {"start_logits": start, "end_logits": end}
    results = {f"output/{name}": value for name, value in outputs.items()}
    entries = huggingface.entries(model.description)
    results |= {f"gradient/{name}": g for name, g in stored_tensors(gradients, entries)}
    return results | {"loss": np.float32(loss)}


def assert_same_results(model, batch, expected):
    """Outputs, loss and every gradient of the reference equal ours."""
    ours = our_results_by_their_names(model, batch)
    is_token = batch["input_mask"].astype(bool)
    compared = set()
    for name, value in expected.items():
        key = name.removeprefix("output/")
        only_logits = key == "logits" and model.description.kind == "pretraining"
        if only_logits:
            key = "masked_lm_logits" if value.ndim == 3 else "next_sentence_logits"
        key = OUTPUTS.get(key, key)
        received = ours[f"output/{key}" if name.startswith("output/") else name]
        if key == "masked_lm_logits":
            value = np.take_along_axis(value, batch["masked_lm_positions"][..., None], axis=1)
        elif value.ndim > 1 and value.shape[:2] == is_token.shape and name != "loss":
            value, received = value[is_token], received[is_token]
        if name.endswith("word_embeddings.weight") and not value[0].any():
            received = np.concatenate([value[:1], received[1:]])  # PyTorch trains no padding row
        np.testing.assert_allclose(received, value, **TOLERANCE, err_msg=name)
        compared.add(name)
    assert compared == set(expected)


@pytest.mark.parametrize("class_name", CLASSES)
def test_outputs_loss_and_every_gradient_are_pytorchs(class_name, batch):
    model = load_checkpoint(GOLDEN / class_name)
    expected = load_npz(GOLDEN / class_name / "expected.npz")
    num_weights = sum(name.startswith("gradient/") for name in expected)
    assert num_weights == (0 if class_name == "BertModel" else len(stored_names(class_name)))
    assert_same_results(model, batch, expected)


def stored_names(class_name):
    return safetensors.numpy.load_file(GOLDEN / class_name / "model.safetensors").keys()


@pytest.mark.parametrize("class_name", CLASSES)
def test_round_trip_is_bit_equal(class_name, tmp_path):
    model = convert_checkpoint(GOLDEN / class_name, tmp_path / "ours")
    convert_checkpoint(tmp_path / "ours", tmp_path / "theirs", target_format="huggingface")
    before = safetensors.numpy.load_file(GOLDEN / class_name / "model.safetensors")
    after = safetensors.numpy.load_file(tmp_path / "theirs" / "model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        np.testing.assert_array_equal(after[name], tensor, err_msg=name)
    again = load_checkpoint(tmp_path / "theirs")
    assert again.description == model.description
    original = json.loads((GOLDEN / class_name / "config.json").read_text())
    written = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert written["architectures"] == original["architectures"] == [class_name]


def edited(tmp_path, class_name="BertForPreTraining", *, tensors=None, config=None):
    """A copy of a golden folder with tensors and settings changed (None removes one)."""
    folder = tmp_path / "edited"
    shutil.copytree(GOLDEN / class_name, folder)
    stored = safetensors.numpy.load_file(folder / "model.safetensors") | (tensors or {})
    stored = {name: tensor for name, tensor in stored.items() if tensor is not None}
    safetensors.numpy.save_file(stored, folder / "model.safetensors")
    settings = json.loads((folder / "config.json").read_text()) | (config or {})
    settings = {name: value for name, value in settings.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_all_missing_unexpected_and_misshaped_tensors_stand_in_one_error(tmp_path):
    folder = edited(
        tmp_path,
        tensors={
            "bert.encoder.layer.1.attention.self.key.weight": None,
            "bert.encoder.layer.2.output.dense.bias": np.zeros(12, np.float32),
            "something.else": np.zeros(1, np.float32),
            "cls.seq_relationship.weight": np.zeros((3, 12), np.float32),
        },
    )
    with pytest.raises(ValueError, match=r"name by name") as caught:
        load_checkpoint(folder)
    for line in (
        "missing: bert.encoder.layer.1.attention.self.key.weight",
        "unexpected: bert.encoder.layer.2.output.dense.bias",
        "unexpected: something.else",
        "shape of cls.seq_relationship.weight: (3, 12) in the file, (2, 12) wanted",
    ):
        assert line in str(caught.value)
    with pytest.raises(ValueError, match=r"name by name"):
        convert_checkpoint(folder, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_pickled_weights_are_refused_and_never_opened(tmp_path):
    folder = edited(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04would run code")
    assert detect_format(folder) == "huggingface"
    with pytest.raises(FileNotFoundError, match=r"never\s+opened"):
        load_checkpoint(folder)


def test_a_truncated_file_is_named(tmp_path):
    folder = edited(tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors: must be a whole safetensors file"):
        load_checkpoint(folder)


def test_every_unsupported_setting_is_listed(tmp_path):
    config = {"position_embedding_type": "relative_key", "is_decoder": True, "hidden_act": "silu"}
    folder = edited(tmp_path, config=config)
    with pytest.raises(ValueError, match=r"must describe a BERT encoder") as caught:
        load_checkpoint(folder)
    for line in ("relative_key", "is_decoder=True", "hidden_act='silu'"):
        assert line in str(caught.value)


def test_shards_old_spelling_second_names_buffers_and_half_precision(tmp_path, batch):
    whole = safetensors.numpy.load_file(GOLDEN / "BertForPreTraining" / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in whole.items()
    }
    old["bert.embeddings.position_ids"] = np.arange(16)[None]
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"]
    old["cls.predictions.decoder.bias"] = old.pop("cls.predictions.bias")
    folder = tmp_path / "sharded"
    folder.mkdir()
    shutil.copyfile(GOLDEN / "BertForPreTraining" / "config.json", folder / "config.json")
    weight_map = {}
    for number in range(2):
        file = f"model-{number + 1:05}-of-00002.safetensors"
        part = {name: old[name] for name in sorted(old)[number::2]}
        safetensors.numpy.save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    expected = load_npz(GOLDEN / "BertForPreTraining" / "expected.npz")
    assert_same_results(load_checkpoint(folder), batch, expected)

    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"every shard must be there[^$]*model-00002-of-00002"):
        load_checkpoint(folder)

    halved = edited(tmp_path, tensors={n: t.astype(np.float16) for n, t in whole.items()})
    model = load_checkpoint(halved)
    for name, weight in weights_by_name(model.network).items():
        assert weight.dtype == "float32", name


def test_an_untied_masked_lm_head_is_refused(tmp_path):
    table = np.ones((40, 12), np.float32)
    folder = edited(tmp_path, tensors={"cls.predictions.decoder.weight": table})
    with pytest.raises(ValueError, match=r"must share the token embeddings[^$]*decoder\.weight"):
        load_checkpoint(folder)


def test_what_hugging_face_cannot_say_is_refused_and_nothing_is_written(tmp_path):
    model = load_checkpoint(GOLDEN / "BertForPreTraining")
    changes = {"norm_first": True, "masked_lm_layer_norm_eps": 1e-5}
    architecture = model.description.architecture.model_copy(update=changes)
    description = model.description.model_copy(update={"architecture": architecture})
    unlike = type(model)(model.network, description, None)
    with pytest.raises(ValueError, match=r"norm_first=True") as caught:
        huggingface.write_checkpoint(unlike, tmp_path / "out")
    assert "masked_lm_layer_norm_eps=1e-05" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_existing_target_is_refused(tmp_path):
    with pytest.raises(FileExistsError, match=r"must be a new folder"):
        convert_checkpoint(GOLDEN / "BertModel", tmp_path)


def test_classes_and_their_names(tmp_path):
    labels = {"0": "부정", "1": "중립", "2": "긍정"}
    folder = edited(tmp_path, "BertForSequenceClassification", config={"id2label": labels})
    model = load_checkpoint(folder)
    assert model.description.class_names == ("부정", "중립", "긍정")
    unnamed = load_checkpoint(
        edited(tmp_path / "b", "BertForSequenceClassification", config={"id2label": None})
    )
    assert unnamed.description.class_names == ("LABEL_0", "LABEL_1", "LABEL_2")
    with pytest.raises(ValueError, match=r"problem_type must be one of .*Received: .*'ranking'"):
        load_checkpoint(
            edited(
                tmp_path / "c", "BertForSequenceClassification", config={"problem_type": "ranking"}
            )
        )


def test_the_problem_type_tells_tasks_with_the_same_head_apart(tmp_path):
    config = {"problem_type": "multi_label_classification"}
    several = load_checkpoint(edited(tmp_path, "BertForSequenceClassification", config=config))
    assert several.description.kind == "multi_label"


def test_a_tensor_that_stands_there_twice_is_refused(tmp_path):
    twice = {"embeddings.LayerNorm.gamma": np.ones(12, np.float32)}
    with pytest.raises(ValueError, match=r"must stand there once[^$]*LayerNorm\.gamma"):
        load_checkpoint(edited(tmp_path, "BertModel", tensors=twice))


def test_quantised_weights_are_refused(tmp_path):
    numbers = {"pooler.dense.bias": np.ones(12, np.int8)}
    with pytest.raises(ValueError, match=r"must be of type[^$]*I8 for pooler\.dense\.bias"):
        load_checkpoint(edited(tmp_path, "BertModel", tensors=numbers))


@pytest.mark.parametrize(
    ("class_name", "removed"),
    [
        ("BertForSequenceClassification", "bert.pooler.dense.weight"),
        ("BertForNextSentencePrediction", "bert.pooler.dense.bias"),
        ("BertForPreTraining", "cls.predictions.bias"),
        ("BertForSequenceClassification", "classifier.weight"),
    ],
)
def test_a_head_in_part_is_told_by_what_is_missing(tmp_path, class_name, removed):
    with pytest.raises(ValueError, match=rf"missing: {removed}"):
        load_checkpoint(edited(tmp_path, class_name, tensors={removed: None}))


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": ["a", "b", "c"]},
        {"id2label": {"0": "a", "7": "b"}},
        {"num_attention_heads": 5},
        {"hidden_size": "xx"},
        {"classifier_dropout": 2},
    ],
    ids=str,
)
def test_nonsense_in_the_configuration_is_an_error_with_the_path(tmp_path, config):
    folder = edited(tmp_path, "BertForSequenceClassification", config=config)
    with pytest.raises(ValueError, match=r"Received") as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value)


def test_sentence_embeddings_that_we_would_not_give_are_refused(tmp_path):
    model = load_checkpoint(GOLDEN / "BertModel")
    changes = {"pooling": "mean", "normalize_embeddings": True}
    mean = type(model)(model.network, model.description.model_copy(update=changes), None)
    huggingface.write_checkpoint(mean, tmp_path / "st")
    assert load_checkpoint(tmp_path / "st").description.pooling == "mean"
    sequence = tmp_path / "st" / "sentence_bert_config.json"
    sequence.write_text(json.dumps({"max_seq_length": 512}))
    assert load_checkpoint(tmp_path / "st").description.max_seq_length == 16
    settings = tmp_path / "st" / "config_sentence_transformers.json"
    settings.write_text(json.dumps({"truncate_dim": 7}))
    with pytest.raises(ValueError, match=r"must be whole and of the text alone[^$]*truncate_dim"):
        load_checkpoint(tmp_path / "st")
    normalized = model.description.model_copy(update={"normalize_embeddings": True})
    with pytest.raises(ValueError, match=r"normalize_embeddings with pooling=pooler"):
        huggingface.write_checkpoint(type(model)(model.network, normalized, None), tmp_path / "x")
