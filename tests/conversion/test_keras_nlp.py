"""keras-nlp's presets and models in and out, beside keras-nlp itself."""

import json
import logging
import shutil
from pathlib import Path

import h5py
import keras
import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion import keras_nlp as conversion
from bert_tf.conversion.checkpoint import Model
from bert_tf.conversion.convert import convert_checkpoint, detect_format, load_checkpoint
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import stored_tensors, weights_by_name
from bert_tf.tasks.models import build_model
from tests.golden.make_keras_nlp import randomize_all
from tests.references import ARCHITECTURE, random_batch, randomize

GOLDEN = Path(__file__).parents[1] / "golden" / "keras_nlp"
TOLERANCE = {"rtol": 0, "atol": 1e-5}
KEY_KERNEL = "layers/transformer_encoder_1/_self_attention_layer/key_dense/vars/0"


@pytest.fixture(scope="module")
def theirs():
    """The golden model as keras-nlp loads it."""
    return keras_nlp.models.BertMaskedLM.from_preset(str(GOLDEN))


@pytest.fixture(scope="module")
def ours():
    return load_checkpoint(GOLDEN)


@pytest.fixture(scope="module")
def batch():
    return random_batch()


def inputs(batch):
    return {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
    }


def test_preset_has_keras_nlps_numbers_and_its_heads_own_settings(theirs, ours, batch):
    architecture = ours.description.architecture
    assert detect_format(GOLDEN) == "keras-nlp"
    assert (architecture.hidden_act, architecture.layer_norm_eps) == ("gelu", 1e-12)
    assert architecture.masked_lm_act == "gelu_exact"
    assert architecture.masked_lm_layer_norm_eps == 1e-5
    assert ours.description.max_seq_length == 16
    assert not ours.description.has_next_sentence

    expected = theirs.backbone(inputs(batch))
    received = ours.network.encoder(batch)
    is_token = batch["input_mask"].astype(bool)
    np.testing.assert_allclose(
        np.asarray(received["sequence_output"])[is_token],
        np.asarray(expected["sequence_output"])[is_token],
        **TOLERANCE,
    )
    np.testing.assert_allclose(
        np.asarray(received["pooled_output"]), np.asarray(expected["pooled_output"]), **TOLERANCE
    )
    np.testing.assert_allclose(
        np.asarray(ours.network(batch)["masked_lm_logits"]),
        np.asarray(theirs({**inputs(batch), "mask_positions": batch["masked_lm_positions"]})),
        **TOLERANCE,
    )


def assert_same_loss_and_gradients(ours, our_loss, theirs, their_loss):
    """In training mode; gradients are compared by the names of keras-nlp's variables."""
    our_weights = weights_by_name(ours.network)
    with tf.GradientTape() as tape:
        loss = our_loss()
    gradients = {
        name: tf.convert_to_tensor(gradient)
        for name, gradient in zip(
            our_weights,
            tape.gradient(loss, [weight.value for weight in our_weights.values()]),
            strict=True,
        )
    }
    received = dict(stored_tensors(gradients, conversion.entries(ours.description)))
    with tf.GradientTape() as tape:
        expected_loss = their_loss()
    np.testing.assert_allclose(float(loss), float(expected_loss), rtol=1e-6)
    expected = tape.gradient(expected_loss, [weight.value for weight in theirs.trainable_weights])
    assert len(received) == len(theirs.trainable_weights)
    for weight, gradient in zip(theirs.trainable_weights, expected, strict=True):
        gradient = tf.convert_to_tensor(gradient).numpy()
        assert np.abs(gradient).max() > 0 or weight.path.endswith("key/bias"), weight.path
        np.testing.assert_allclose(
            received[weight.path], gradient, **TOLERANCE, err_msg=weight.path
        )


def cross_entropy(logits, labels):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def test_masked_lm_loss_and_every_gradient_in_training_are_keras_nlps(theirs, ours, batch):
    labels = np.random.default_rng(2).integers(0, 60, (4, 3))
    positions = batch["masked_lm_positions"]

    def our_loss():
        encoded = ours.network.encoder(batch, training=True)
        table = ours.network.encoder.embeddings.word_embeddings.embeddings
        logits = ours.network.masked_lm(encoded["sequence_output"], positions, table)
        return cross_entropy(logits, labels) + tf.reduce_mean(encoded["pooled_output"] ** 2)

    def their_loss():
        encoded = theirs.backbone(inputs(batch), training=True)
        logits = theirs.masked_lm_head(encoded["sequence_output"], positions)
        return cross_entropy(logits, labels) + tf.reduce_mean(encoded["pooled_output"] ** 2)

    assert_same_loss_and_gradients(ours, our_loss, theirs, their_loss)


def test_classifier_in_memory_has_keras_nlps_scores_loss_and_gradients(theirs, batch, tmp_path):
    classifier = keras_nlp.models.BertTextClassifier(theirs.backbone, num_classes=3, dropout=0.0)
    rng = np.random.default_rng(3)
    for weight in classifier.output_dense.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    model = conversion.from_keras_nlp(classifier)
    assert model.description.class_names == ("LABEL_0", "LABEL_1", "LABEL_2")
    np.testing.assert_allclose(
        np.asarray(model.network(batch)), np.asarray(classifier(inputs(batch))), **TOLERANCE
    )
    labels = np.array([0, 2, 1, 1])
    assert_same_loss_and_gradients(
        model,
        lambda: cross_entropy(model.network(batch, training=True), labels),
        classifier,
        lambda: cross_entropy(classifier(inputs(batch), training=True), labels),
    )
    conversion.write_checkpoint(model, tmp_path)
    again = keras_nlp.models.BertTextClassifier.from_preset(str(tmp_path))
    assert_bit_equal(again, classifier)
    assert load_checkpoint(tmp_path).description == model.description


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_embedder_in_memory_and_in_a_preset(pooling, theirs, batch, tmp_path):
    embedder = keras_nlp.models.BertTextEmbedder(theirs.backbone, pooling_mode=pooling)
    model = conversion.from_keras_nlp(embedder)
    expected = np.asarray(embedder(inputs(batch)))
    np.testing.assert_allclose(np.asarray(model.network(batch)["embedding"]), expected, **TOLERANCE)
    conversion.write_checkpoint(model, tmp_path)
    again = keras_nlp.models.BertTextEmbedder.from_preset(str(tmp_path))
    np.testing.assert_array_equal(np.asarray(again(inputs(batch))), expected)
    assert load_checkpoint(tmp_path).description == model.description


def test_backbone_in_memory_with_its_own_precision(theirs, batch):
    half = keras_nlp.models.BertBackbone.from_config(
        theirs.backbone.get_config() | {"dtype": "bfloat16", "dropout": 0.25}
    )
    randomize_all(half, seed=4)
    model = conversion.from_keras_nlp(half)
    assert model.description.kind == "encoder"
    assert model.description.pooling == "pooler"
    assert model.description.architecture.hidden_dropout_prob == 0.25
    tensors = dict(
        stored_tensors(weights_by_name(model.network), conversion.entries(model.description))
    )
    for weight in half.weights:
        np.testing.assert_array_equal(
            tensors[weight.path], np.asarray(weight, np.float32), err_msg=weight.path
        )


def assert_bit_equal(model, other):
    assert [weight.path for weight in model.weights] == [weight.path for weight in other.weights]
    for weight, same in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(same), err_msg=weight.path)


def test_round_trip_is_bit_equal_and_keeps_head_and_tokenizer(theirs, ours, batch, tmp_path):
    convert_checkpoint(GOLDEN, tmp_path / "ours")
    convert_checkpoint(tmp_path / "ours", tmp_path / "theirs", target_format="keras-nlp")
    again = keras_nlp.models.BertMaskedLM.from_preset(str(tmp_path / "theirs"))
    assert_bit_equal(again, theirs)
    assert_bit_equal(
        keras_nlp.models.BertBackbone.from_preset(str(tmp_path / "theirs")), theirs.backbone
    )
    assert again.preprocessor.tokenizer.get_config() == theirs.preprocessor.tokenizer.get_config()
    model = load_checkpoint(tmp_path / "theirs")
    assert model.description == ours.description
    assert model.tokenizer.settings == ours.tokenizer.settings
    assert model.tokenizer.vocabulary == ours.tokenizer.vocabulary


def pretrainer(**changes):
    """Ours with random weights and both heads."""
    architecture = ARCHITECTURE.model_copy(update=changes)
    description = ModelDescription(kind="pretraining", architecture=architecture, max_seq_length=12)
    network = build_model(description)
    randomize(network, seed=5)
    tokens = load_checkpoint(GOLDEN).tokenizer.vocabulary
    return Model(network, description, WordPieceTokenizer(tokens, lower_case=True))


def test_bert_pretrainer_becomes_a_backbone_and_the_log_names_what_is_left_out(
    batch, tmp_path, caplog
):
    model = pretrainer()
    with caplog.at_level(logging.WARNING):
        conversion.write_checkpoint(model, tmp_path)
    assert not (tmp_path / "task.json").exists()
    for part in (
        "the next-sentence head",
        "the masked-LM head: it has gelu and epsilon 1e-12, keras-nlp's always has gelu_exact",
        "max_seq_length=12",
        "unicode_normalization='NFC' and max_word_characters=200",
    ):
        assert part in caplog.text
    backbone = keras_nlp.models.BertBackbone.from_preset(str(tmp_path))
    np.testing.assert_allclose(
        np.asarray(backbone(inputs(batch))["pooled_output"]),
        np.asarray(model.network.encoder(batch)["pooled_output"]),
        **TOLERANCE,
    )
    tokenizer = keras_nlp.models.BertTokenizer.from_preset(str(tmp_path))
    text = "The café is OK."
    assert list(tokenizer(text)) == model.tokenizer.tokenize([text]).to_list()[0]
    again = load_checkpoint(tmp_path)
    before = weights_by_name(model.network)
    for name, weight in weights_by_name(again.network).items():
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(before[name]), err_msg=name)


@pytest.mark.parametrize("kind", ["token_classification", "question_answering"])
def test_other_heads_are_named_in_the_log(kind, tmp_path, caplog):
    description = ModelDescription(
        kind=kind, architecture=ARCHITECTURE, max_seq_length=20, class_names=("a", "b")
    )
    with caplog.at_level(logging.WARNING):
        conversion.write_checkpoint(Model(build_model(description), description, None), tmp_path)
    assert f"the head for {kind}" in caplog.text
    assert load_checkpoint(tmp_path).description.kind == "encoder"


def test_everything_that_a_backbone_cannot_compute_stands_in_one_error(tmp_path):
    model = pretrainer(
        hidden_act="gelu_exact",
        layer_norm_eps=1e-5,
        norm_first=True,
        position_embedding="sinusoidal",
        attention_probs_dropout_prob=0.1,
    )
    with pytest.raises(ValueError, match=r"must be able to compute the same") as caught:
        conversion.write_checkpoint(model, tmp_path / "out")
    for line in (
        "hidden_act='gelu_exact', where 'gelu' is supported",
        "layer_norm_eps=1e-05, where 1e-12 is supported",
        "norm_first=True",
        "position_embedding='sinusoidal'",
        "attention_probs_dropout_prob=0.1, where 0.0 is supported",
    ):
        assert line in str(caught.value)
    assert not (tmp_path / "out").exists()
    bare = ModelDescription(
        kind="encoder",
        architecture=ARCHITECTURE,
        max_seq_length=20,
        has_pooler=False,
        pooling="mean",
    )
    with pytest.raises(ValueError, match=r"no pooler"):
        conversion.to_keras_nlp(Model(build_model(bare), bare, None))


@pytest.fixture
def preset(tmp_path):
    """A copy of the golden folder, to be damaged."""
    shutil.copytree(GOLDEN, tmp_path / "preset")
    return tmp_path / "preset"


def test_all_missing_unexpected_and_misshaped_tensors_stand_in_one_error(preset, tmp_path):
    with h5py.File(preset / "model.weights.h5", "r+") as file:
        del file[KEY_KERNEL]
        del file["layers/embedding/vars/0"]
        file["layers/embedding/vars/0"] = np.zeros((3, 24), np.float32)
        file["layers/extra/vars/0"] = np.zeros(1, np.float32)
        file["layers/dense/vars/2"] = np.zeros(24, np.float32)
    with h5py.File(preset / "task.weights.h5", "r+") as file:
        del file["layers/masked_lm_head/vars/0"]
    with pytest.raises(ValueError, match=r"name by name") as caught:
        load_checkpoint(preset)
    for line in (
        "missing: transformer_layer_1/self_attention_layer/key/kernel",
        "missing: mlm_head/output_bias",
        "unexpected: layers/extra/vars/0",
        "unexpected: pooled_dense/2",
        "shape of segment_embedding/embeddings: (3, 24) in the file, (2, 24) wanted",
    ):
        assert line in str(caught.value)
    with pytest.raises(ValueError, match=r"name by name"):
        convert_checkpoint(preset, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_missing_head_and_surplus_layers_are_no_silent_partial_load(preset):
    (preset / "task.weights.h5").unlink()
    with pytest.raises(ValueError, match=r"missing: mlm_head/intermediate_dense/bias"):
        load_checkpoint(preset)
    (preset / "task.json").unlink()
    assert load_checkpoint(preset).description.kind == "encoder"
    config = json.loads((preset / "config.json").read_text())
    config["config"]["num_layers"] = 1
    (preset / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"unexpected: transformer_layer_1/feedforward"):
        load_checkpoint(preset)


def without_names(preset):
    """As Keras wrote its files before it stored the names of layers."""

    def forget(_, item):
        item.attrs.pop("name", None)

    for path in preset.glob("*.h5"):
        with h5py.File(path, "r+") as file:
            file.visititems(forget)


def test_file_without_layer_names_is_read_and_counted(preset, ours):
    without_names(preset)
    again = load_checkpoint(preset)
    for weight, same in zip(again.network.weights, ours.network.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(same), err_msg=weight.path)
    with h5py.File(preset / "model.weights.h5", "r+") as file:
        file["layers/extra/vars/0"] = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=r"must hold the model's 44 tensors. Received: 45"):
        load_checkpoint(preset)
    with h5py.File(preset / "model.weights.h5", "r+") as file:
        del file[KEY_KERNEL]
    with pytest.raises(ValueError, match=r"preset: keras-nlp must be able to load this"):
        load_checkpoint(preset)


def test_shards_are_read_and_all_must_be_there(theirs, ours, tmp_path):
    theirs.backbone.save_to_preset(str(tmp_path), max_shard_size=2e-5)
    shards = sorted(tmp_path.glob("*_0*.h5"))
    assert len(shards) > 1
    before = weights_by_name(ours.network)
    for name, weight in weights_by_name(load_checkpoint(tmp_path).network).items():
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(before[name]), err_msg=name)
    shards[-1].unlink()
    with pytest.raises(ValueError, match=rf"every shard must be there[^$]*{shards[-1].name}"):
        load_checkpoint(tmp_path)


def test_damaged_and_foreign_folders_are_named(preset):
    whole = (preset / "model.weights.h5").read_bytes()
    (preset / "model.weights.h5").write_bytes(whole[:-2000])
    with pytest.raises(ValueError, match=r"model\.weights\.h5: must be a whole HDF5 file"):
        load_checkpoint(preset)
    (preset / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"weights must be in model\.weights\.h5"):
        load_checkpoint(preset)
    (preset / "model.weights.h5").write_bytes(whole)
    for file, message in (
        ("task.json", r"task\.json: registered_name must be one of keras-nlp's BertMaskedLM"),
        ("config.json", r"config\.json: registered_name must be one of keras-nlp's BertBackbone"),
    ):
        config = json.loads((preset / file).read_text())
        config["registered_name"] = "builtins>RobertaBackbone"
        (preset / file).write_text(json.dumps(config))
        with pytest.raises(ValueError, match=message):
            load_checkpoint(preset)


def test_object_of_another_class_or_with_another_head_is_refused(theirs):
    with pytest.raises(ValueError, match=r"must be one of keras-nlp's .* Received: Dense"):
        conversion.from_keras_nlp(keras.layers.Dense(2))
    head = keras_nlp.models.BertMaskedLM(theirs.backbone)
    head.masked_lm_head.intermediate_activation = keras.activations.swish
    with pytest.raises(ValueError, match=r"masked-LM head's activation: none of"):
        conversion.from_keras_nlp(head)
    scores = keras_nlp.models.BertTextClassifier(theirs.backbone, 1, activation="sigmoid")
    with pytest.raises(ValueError, match=r"1 classes with activation 'sigmoid'"):
        conversion.from_keras_nlp(scores)


LETTERS = sorted(set("abcdefghijklmnopqrstuvwxyzABCDEF0123456789.,!?'$^`~[]…éêïñüßσ中国한국어😀()"))
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##ing"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
]
SAME = (
    "",
    "the quick, brown fox; isn't it?",
    "A B C walking ABCDEF",
    "naïve café über",
    "中国abc国",
    "한국어",
    "a$b^c`d~e [MASK] [SEP]",
    "😀a",
    "a\tb\nc",
    "a" * 100,
    "a" * 101,
    "（a）",
)
SAME_LOWER_CASED = ("ＡＢＣ", "cafe\u0301", "ﬁng", "x²", "①")
DIFFERENT = {
    "a\u200bb": "a format character parts words there, here it is removed",
    "a\u00a0b": "only ASCII's white space parts words there",
    "σ" * 51: "the limit of a word is 100 bytes there, 100 characters here",
}
DIFFERENT_LOWER_CASED = {
    "ß": "case folding makes ss of it",
    "…": "case folding makes one word of three full stops",
    "ς": "case folding makes σ of it",
}


@pytest.mark.parametrize(
    ("lower_case", "strip_accents"), [(False, False), (True, False), (True, True)]
)
def test_token_ids_are_keras_nlps_but_for_the_known_differences(lower_case, strip_accents):
    theirs = keras_nlp.models.BertTokenizer(
        VOCABULARY, lowercase=lower_case, strip_accents=strip_accents
    )
    preprocessor = keras_nlp.models.BertTextClassifierPreprocessor(theirs)
    backbone = keras_nlp.models.BertBackbone(len(VOCABULARY) + 2, 1, 1, 4, 4)
    ours = conversion.from_keras_nlp(
        keras_nlp.models.BertTextClassifier(backbone, 2, preprocessor=preprocessor)
    ).tokenizer
    assert ours.settings["lower_case"] is lower_case
    assert ours.vocabulary[len(VOCABULARY) :] == ("[unused0]", "[unused1]")
    same = SAME + (SAME_LOWER_CASED if lower_case else ())
    if strip_accents:
        same = tuple(text for text in same if "한" not in text)  # taken apart here, not there
    for text in same:
        assert ours.tokenize([text]).to_list()[0] == list(theirs(text)), text
    for text in (*DIFFERENT, *(DIFFERENT_LOWER_CASED if lower_case else ())):
        assert ours.tokenize([text]).to_list()[0] != list(theirs(text)), text


def test_tokenizer_that_is_not_berts_is_refused(preset):
    config = json.loads((preset / "tokenizer.json").read_text())
    config["config"] |= {"suffix_indicator": "@@", "strip_accents": True, "lowercase": False}
    (preset / "tokenizer.json").write_text(json.dumps(config))
    (preset / "task.json").unlink()
    (preset / "task.weights.h5").unlink()
    with pytest.raises(ValueError, match=r"must be BERT's WordPiece") as caught:
        load_checkpoint(preset)
    assert "suffix_indicator='@@'" in str(caught.value)
    assert "strip_accents=True with lowercase=False" in str(caught.value)


def test_a_bfloat16_preset_is_read_value_by_value(theirs, batch, tmp_path):
    settings = theirs.backbone.get_config() | {"dtype": "bfloat16"}
    half = keras_nlp.models.BertBackbone.from_config(settings)
    half.set_weights([np.asarray(weight) for weight in theirs.backbone.weights])
    half.save_to_preset(str(tmp_path / "half"))
    read = load_checkpoint(tmp_path / "half")
    assert_bit_equal(read.network, conversion.from_keras_nlp(half).network)
