"""Google's TF1 checkpoints in and out; the numbers are its own code's, under tests/golden."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion import google, model_garden
from bert_tf.conversion.convert import convert_checkpoint, detect_format, load_checkpoint
from bert_tf.data.text.vocabulary_case import is_uncased
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.tensors import stored_tensors, weights_by_name
from tests.conversion.our_results import our_results

GOLDEN = Path(__file__).parents[1] / "golden" / "google_bert"
CASES = {
    "pretraining": "pretraining",
    "classifier": "classification",
    "squad": "question_answering",
}
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def batch():
    return load_npz(GOLDEN / "batch.npz")


def load_npz(path):
    with np.load(path) as arrays:
        return dict(arrays)


def stored(prefix):
    """Every tensor of a checkpoint."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def weights_of(model):
    return {name: np.asarray(w) for name, w in weights_by_name(model.network).items()}


@pytest.mark.parametrize("case", CASES)
def test_outputs_loss_and_every_gradient_are_googles(case, batch):
    checkpoint = google.open_checkpoint(GOLDEN / case)
    assert checkpoint.description.kind == CASES[case]
    without_dropout = {"classifier_dropout_prob": 0.0}  # a classifier's is 0.1 by default
    description = checkpoint.description.model_copy(update=without_dropout)
    model = dataclasses.replace(checkpoint, description=description).build()
    outputs, loss, gradients = our_results(model, batch)
    expected = load_npz(GOLDEN / case / "expected.npz")
    np.testing.assert_allclose(loss, expected["loss"], **TOLERANCE)
    is_token = batch["input_mask"].astype(bool)
    if case == "squad":
        # Google gives padding scores as well, so these are compared at every position.
        for column, name in enumerate(("start_logits", "end_logits")):
            np.testing.assert_allclose(
                outputs["logits"][..., column], expected[f"output/{name}"], **TOLERANCE
            )
    elif case == "classifier":
        np.testing.assert_allclose(outputs["logits"], expected["output/logits"], **TOLERANCE)
    else:
        encoded = model.network.encoder(batch)
        np.testing.assert_allclose(
            encoded["sequence_output"].numpy()[is_token],
            expected["output/sequence_output"][is_token],
            **TOLERANCE,
        )
        np.testing.assert_allclose(
            encoded["pooled_output"], expected["output/pooled_output"], **TOLERANCE
        )
        for name in ("masked_lm", "next_sentence"):
            log_probs = expected[f"output/{name}_log_probs"]
            ours = tf.nn.log_softmax(outputs[f"{name}_logits"]).numpy()
            np.testing.assert_allclose(ours.reshape(log_probs.shape), log_probs, **TOLERANCE)
    names = {name for name in expected if name.startswith("gradient/")}
    for name, gradient in stored_tensors(gradients, google.entries(model.description)):
        np.testing.assert_allclose(
            gradient, expected[f"gradient/{name}"], **TOLERANCE, err_msg=name
        )
        names.remove(f"gradient/{name}")
    assert not names


@pytest.mark.parametrize(("case", "lower_case"), [("pretraining", True), ("classifier", False)])
def test_token_ids_are_googles(case, lower_case):
    tokenizer = load_checkpoint(GOLDEN / case).tokenizer
    assert tokenizer.settings["lower_case"] is lower_case
    expected = load_npz(GOLDEN / case / "expected.npz")
    sentences = json.loads((GOLDEN / "sentences.json").read_text(encoding="utf-8"))
    for number, ids in enumerate(tokenizer.tokenize(tf.constant(sentences)).to_list()):
        np.testing.assert_array_equal(ids, expected[f"ids/{number}"], err_msg=sentences[number])


@pytest.mark.parametrize("case", CASES)
def test_round_trip_is_bit_equal(case, tmp_path, batch):
    model = convert_checkpoint(GOLDEN / case, tmp_path / "ours")
    convert_checkpoint(tmp_path / "ours", tmp_path / "theirs", target_format="google")
    before = stored(GOLDEN / case / "bert_model.ckpt")
    after = stored(tmp_path / "theirs" / "bert_model.ckpt")
    slots = {name for name in before if name.endswith(("adam_m", "adam_v", "global_step"))}
    assert len(slots) == (2 * len(after) + 1 if case == "pretraining" else 0)
    assert after.keys() == before.keys() - slots
    for name, tensor in after.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, before[name], err_msg=name)
    for name in ("bert_config.json", "vocab.txt"):
        if (GOLDEN / case / name).is_file():
            written = (tmp_path / "theirs" / name).read_text()
            original = (GOLDEN / case / name).read_text()
            is_json = name.endswith("json")
            assert json.loads(written) == json.loads(original) if is_json else written == original
    again = load_checkpoint(tmp_path / "theirs")
    assert again.description == model.description
    if model.tokenizer is not None:
        assert again.tokenizer.settings == model.tokenizer.settings
        assert again.tokenizer.vocabulary == model.tokenizer.vocabulary


def test_tf1_saver_restores_what_we_write(tmp_path):
    model = load_checkpoint(GOLDEN / "squad")
    google.write_checkpoint(model, tmp_path)
    name = "bert/encoder/layer_1/attention/self/key/kernel"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable(name, (24, 24))
        tf.compat.v1.train.Saver().restore(session, str(tmp_path / "bert_model.ckpt"))
        value = session.run(variable)
    np.testing.assert_array_equal(value, stored(GOLDEN / "squad" / "bert_model.ckpt")[name])


def test_model_garden_converts_what_we_write_and_computes_the_same(tmp_path, batch):
    from official.legacy.bert import configs
    from official.nlp.tools import tf2_bert_encoder_checkpoint_converter as converter

    model = load_checkpoint(GOLDEN / "pretraining")
    without_heads = dataclasses.replace(
        model, description=model.description.model_copy(update={"kind": "encoder"})
    )
    google.write_checkpoint(without_heads, tmp_path / "ours")
    config = configs.BertConfig.from_json_file(str(tmp_path / "ours" / "bert_config.json"))
    converter.convert_checkpoint(
        config,
        str(tmp_path / "theirs" / "bert_model.ckpt"),
        str(tmp_path / "ours" / "bert_model.ckpt"),
        checkpoint_model_name="encoder",
    )
    theirs = converter._create_bert_model(config)
    prefix = tmp_path / "theirs" / "bert_model.ckpt-1"
    tf.train.Checkpoint(encoder=theirs).read(str(prefix)).assert_existing_objects_matched()
    sequence, pooled = theirs([batch["input_ids"], batch["input_mask"], batch["segment_ids"]])
    ours = model.network.encoder(batch)
    is_token = batch["input_mask"].astype(bool)
    np.testing.assert_allclose(
        ours["sequence_output"].numpy()[is_token], sequence.numpy()[is_token], **TOLERANCE
    )
    np.testing.assert_allclose(ours["pooled_output"], pooled, **TOLERANCE)

    shutil.copy(tmp_path / "ours" / "bert_config.json", prefix.parent)
    checkpoint = model_garden.open_checkpoint(prefix)
    back = weights_of(checkpoint.build())
    before = weights_of(model)
    assert back.keys() == {name for name in before if name.startswith("encoder/")}
    for name, value in back.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def edited(tmp_path, case="pretraining", *, tensors=None, config=None, name="bert_model.ckpt"):
    """A copy of a golden folder with tensors and settings changed (None removes one)."""
    folder = tmp_path / "edited"
    folder.mkdir(parents=True, exist_ok=True)
    kept = stored(GOLDEN / case / "bert_model.ckpt") | (tensors or {})
    kept = {key: tensor for key, tensor in kept.items() if tensor is not None}
    tf.raw_ops.SaveV2(
        prefix=str(folder / name),
        tensor_names=list(kept),
        shape_and_slices=[""] * len(kept),
        tensors=list(kept.values()),
    )
    settings = json.loads((GOLDEN / case / "bert_config.json").read_text()) | (config or {})
    settings = {key: value for key, value in settings.items() if value is not None}
    (folder / "bert_config.json").write_text(json.dumps(settings))
    if (GOLDEN / case / "vocab.txt").is_file():
        shutil.copy(GOLDEN / case / "vocab.txt", folder)
    return folder


def test_all_missing_unexpected_and_misshaped_tensors_stand_in_one_error(tmp_path):
    folder = edited(
        tmp_path,
        tensors={
            "bert/encoder/layer_1/attention/self/key/kernel": None,
            "bert/encoder/layer_2/output/dense/bias": np.zeros(24, np.float32),
            "something/else": np.zeros(1, np.float32),
            "cls/seq_relationship/output_weights": np.zeros((3, 24), np.float32),
        },
    )
    with pytest.raises(ValueError, match=r"bert_model\.ckpt: tensors must fit") as caught:
        load_checkpoint(folder)
    for line in (
        "missing: bert/encoder/layer_1/attention/self/key/kernel",
        "unexpected: bert/encoder/layer_2/output/dense/bias",
        "unexpected: something/else",
        "shape of cls/seq_relationship/output_weights: (3, 24) in the file, (2, 24) wanted",
    ):
        assert line in str(caught.value)


def test_a_head_without_its_parts_is_an_error(tmp_path):
    folder = edited(
        tmp_path,
        tensors={
            "cls/predictions/output_bias": None,
            "cls/seq_relationship/output_weights": None,
            "bert/pooler/dense/kernel": None,
            "bert/pooler/dense/bias": None,
        },
    )
    with pytest.raises(ValueError, match=r"tensors must fit") as caught:
        load_checkpoint(folder)
    for name in (
        "cls/predictions/output_bias",
        "cls/seq_relationship/output_weights",
        "bert/pooler/dense/kernel",
    ):
        assert f"missing: {name}" in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("half of the data", r"bert_model\.ckpt: must be a whole TensorFlow checkpoint.*Received"),
        ("other data", r"bert_model\.ckpt: must be a whole.*Checksum does not match"),
        ("no data", r"bert_model\.ckpt: must be a whole.*No such file"),
        ("half of the index", r"bert_model\.ckpt: must be a whole.*not an sstable"),
    ],
)
def test_damaged_files_are_named(damage, message, tmp_path):
    folder = edited(tmp_path)
    data = folder / "bert_model.ckpt.data-00000-of-00001"
    index = folder / "bert_model.ckpt.index"
    content = data.read_bytes()
    if damage == "half of the data":
        data.write_bytes(content[: len(content) // 2])
    elif damage == "other data":
        data.write_bytes(bytes(255 - byte for byte in content))
    elif damage == "no data":
        data.unlink()
    else:
        index.write_bytes(index.read_bytes()[:1000])
    assert detect_format(folder) == "google"
    with pytest.raises(ValueError, match=message):
        load_checkpoint(folder)


def test_any_prefix_is_taken_but_of_several_one_must_be_named(tmp_path):
    folder = edited(tmp_path, name="model.ckpt-1000")
    assert detect_format(folder) == detect_format(folder / "model.ckpt-1000") == "google"
    first = weights_of(load_checkpoint(folder))
    edited(tmp_path, name="model.ckpt-2000")
    with pytest.raises(ValueError, match=r"one checkpoint.*model\.ckpt-1000, model\.ckpt-2000"):
        load_checkpoint(folder)
    second = weights_of(load_checkpoint(folder / "model.ckpt-2000"))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    with pytest.raises(FileNotFoundError, match=r"a TensorFlow checkpoint must be there"):
        load_checkpoint(folder / "model.ckpt-3000", source_format="google")
    (folder / "bert_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"bert_config\.json: this file must be there"):
        load_checkpoint(folder / "model.ckpt-2000")


def test_every_unsupported_setting_is_listed(tmp_path):
    config = {"hidden_act": "silu", "embedding_size": 12, "layer_norm_eps": 1e-5}
    with pytest.raises(ValueError, match=r"bert_config\.json: must describe a BERT") as caught:
        load_checkpoint(edited(tmp_path, config={**config, "vocab_size": None}))
    for line in (
        "hidden_act='silu'",
        "embedding_size=12, where only 24 is supported",
        "layer_norm_eps=1e-05",
        "missing: vocab_size",
    ):
        assert line in str(caught.value)
    with pytest.raises(ValueError, match=r"(?s)bert_config\.json.*num_attention_heads must divide"):
        load_checkpoint(edited(tmp_path, config={"num_attention_heads": 5}))


def test_settings_have_googles_defaults_and_harmless_ones_are_ignored(tmp_path):
    config = {"directionality": "bidi", "pooler_type": "first_token_transform"}
    absent = ("type_vocab_size", "hidden_act", "initializer_range")
    path = edited(tmp_path, config=config | dict.fromkeys(absent)) / "bert_config.json"
    architecture = google.read_architecture(path)
    assert architecture.type_vocab_size == 16
    assert (architecture.hidden_act, architecture.initializer_range) == ("gelu", 0.02)


def test_an_encoder_alone_with_and_without_pooler(tmp_path):
    names = stored(GOLDEN / "pretraining" / "bert_model.ckpt")
    heads = {name: None for name in names if name.startswith("cls/")}
    description = load_checkpoint(edited(tmp_path, tensors=heads)).description
    assert (description.kind, description.pooling, description.has_pooler) == (
        "encoder",
        "pooler",
        True,
    )
    pooler = {name: None for name in names if name.startswith("bert/pooler/")}
    description = load_checkpoint(edited(tmp_path / "b", tensors=heads | pooler)).description
    assert (description.kind, description.pooling, description.has_pooler) == (
        "encoder",
        "mean",
        False,
    )


def test_regression_is_refused(tmp_path):
    one = {"output_weights": np.ones((1, 24), np.float32), "output_bias": np.ones(1, np.float32)}
    with pytest.raises(ValueError, match=r"one label of several.*one row"):
        load_checkpoint(edited(tmp_path, "classifier", tensors=one))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["[CLS]", "[unused1]", "<S>", "the", "##s", "2", "猫", "\u1100", "か"], True),
        (["[CLS]", "the", "The"], False),
        (["[CLS]", "the", "##É"], False),
        (["[CLS]", "the", "café"], False),
        (["[CLS]", "the", "고양이"], False),
    ],
)
def test_the_vocabulary_tells_whether_text_is_lower_cased(tokens, expected):
    assert is_uncased(tokens) is expected


def test_a_vocabulary_is_filled_up_to_the_embedding_table(tmp_path):
    folder = edited(tmp_path)
    lines = (folder / "vocab.txt").read_text().splitlines(keepends=True)
    (folder / "vocab.txt").write_text("".join(lines[:50]))
    tokenizer = load_checkpoint(folder).tokenizer
    assert tokenizer.vocab_size == 60
    assert tokenizer.vocabulary[49:51] == (lines[49].strip(), "[unused18]")
    (folder / "vocab.txt").write_text("".join(lines) + "one\n")
    with pytest.raises(ValueError, match=r"vocab\.txt: the vocabulary must have at most.*61"):
        load_checkpoint(folder)
    (folder / "vocab.txt").unlink()
    assert load_checkpoint(folder).tokenizer is None


def test_lower_case_can_be_named():
    checkpoint = google.open_checkpoint(GOLDEN / "pretraining", lower_case=False)
    assert checkpoint.tokenizer.settings["lower_case"] is False
    assert checkpoint.tokenizer.settings["strip_accents"] is False


def changed(model, *, tokenizer=None, architecture=(), **description):
    fields = dict(description)
    if architecture:
        fields["architecture"] = model.description.architecture.model_copy(
            update=dict(architecture)
        )
    return dataclasses.replace(
        model,
        description=model.description.model_copy(update=fields),
        tokenizer=tokenizer or model.tokenizer,
    )


def test_what_google_cannot_say_is_refused_and_nothing_is_written(tmp_path):
    model = load_checkpoint(GOLDEN / "pretraining")
    unlike = changed(
        model,
        kind="token_classification",
        architecture={
            "norm_first": True,
            "position_embedding": "sinusoidal",
            "hidden_act": "gelu_exact",
            "layer_norm_eps": 1e-6,
            "masked_lm_act": "relu",
            "masked_lm_layer_norm_eps": 1e-5,
        },
        tokenizer=WordPieceTokenizer(
            model.tokenizer.vocabulary, lower_case=True, unicode_normalization="NFKC"
        ),
    )
    with pytest.raises(ValueError, match=r"only what Google's BERT computes") as caught:
        google.write_checkpoint(unlike, tmp_path / "out")
    for fault in (
        "norm_first=True",
        "position_embedding='sinusoidal'",
        "hidden_act='gelu_exact'",
        "layer_norm_eps=1e-06",
        "masked_lm_act='relu'",
        "masked_lm_layer_norm_eps=1e-05",
        "kind='token_classification'",
        "lower_case without strip_accents",
        "unicode_normalization='NFKC'",
    ):
        assert fault in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_the_files_do_not_hold_is_logged(tmp_path, caplog):
    model = load_checkpoint(GOLDEN / "classifier")
    tokens = load_checkpoint(GOLDEN / "pretraining").tokenizer.vocabulary
    named = changed(
        model,
        class_names=("good", "bad", "neither"),
        max_seq_length=16,
        tokenizer=WordPieceTokenizer(tokens, unicode_normalization="NFC", max_word_characters=100),
    )
    with caplog.at_level(logging.WARNING, logger="bert_tf.conversion.google"):
        google.write_checkpoint(named, tmp_path / "out")
    for words in (
        "do_lower_case=False",
        "unicode_normalization=NFC",
        "max_word_characters=100",
        "good, bad, neither",
        "max_seq_length=16",
    ):
        assert words in caplog.text
    caplog.clear()
    google.write_checkpoint(load_checkpoint(GOLDEN / "pretraining"), tmp_path / "plain")
    assert not caplog.records
