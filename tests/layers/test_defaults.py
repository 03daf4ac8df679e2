"""What BERT's recipe fixes, on whole models of default configuration.

Initial values, the epsilon of every LayerNorm, and where dropout stands: these drift unnoticed,
since a model trains all the same.
"""

from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from bert_tf.config import FinetuningConfig, ModelConfig
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.tensorflow import fused
from bert_tf.models.classifier import BertClassifier
from bert_tf.models.pretrainer import BertPretrainer

B, T, P, NUM_CLASSES = 2, 6, 2, 3
INPUTS = {
    "input_ids": np.arange(12, dtype=np.int32).reshape(B, T),
    "input_mask": np.ones((B, T), np.int32),
    "segment_ids": np.ones((B, T), np.int32),
    "masked_lm_positions": np.array([[0, 3], [5, 1]], np.int32),
}
EVERYTHING = 1.0 - 1e-7  # a rate at which every unit is dropped
SMALL = {
    "num_hidden_layers": 2,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "vocab_size": 60,
}


def make_models(
    *, classifier_dropout: float = FinetuningConfig().classifier_dropout_prob, **settings
):
    """The pretraining model and a classifier, built and named by kind."""
    keras.utils.set_random_seed(0)
    config = ModelConfig(**settings)
    models = {
        "pretrainer": BertPretrainer(config),
        "classifier": BertClassifier(
            config, num_classes=NUM_CLASSES, dropout_rate=classifier_dropout
        ),
    }
    for model in models.values():
        model.build(dict.fromkeys(INPUTS, (None, None)))
    return models


def layers_of(model: keras.Model, kind: type) -> list[keras.layers.Layer]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]


@pytest.mark.parametrize("kind", ["pretrainer", "classifier"])
def test_every_weight_starts_as_in_bert(kind):
    model = make_models(size="tiny", vocab_size=1000)[kind]
    num_tested = 0
    for weight in model.weights:
        value, name = np.asarray(weight), weight.path.split("/")[-1]
        if name in ("bias", "beta"):
            assert (value == 0).all(), weight.path
        elif name == "gamma":
            assert (value == 1).all(), weight.path
        else:
            assert name in ("kernel", "embeddings"), weight.path
            # Standard deviation 0.02, cut at two of them.
            assert np.abs(value).max() <= 0.04 + 1e-7, weight.path
            fit = stats.kstest(value.ravel(), stats.truncnorm(-2, 2, scale=0.02).cdf)
            assert fit.pvalue > 1e-4, weight.path
            num_tested += 1
    # Three tables, four kernels a layer, the pooler; a dense and a next-sentence kernel or one.
    assert num_tested == 3 + 4 * 2 + 1 + (2 if kind == "pretrainer" else 1)


@pytest.mark.parametrize("norm_first", [False, True])
def test_every_layer_norm_adds_1e_12_to_the_variance(norm_first):
    layers = layers_of(
        make_models(size="tiny", vocab_size=30, norm_first=norm_first)["pretrainer"],
        keras.layers.LayerNormalization,
    )
    expected_paths = {
        "encoder/embeddings/layer_norm",
        *(
            f"encoder/layer_{i}/{part}_layer_norm"
            for i in (0, 1)
            for part in ("attention", "output")
        ),
        "masked_lm/layer_norm",
        *(["encoder/final_layer_norm"] if norm_first else []),
    }
    assert {layer.path.split("/", 1)[1] for layer in layers} == expected_paths
    # A variance of 1e-11: 1e-12 beside it takes 5% off, 1e-5 all but a thousandth.
    x = np.random.default_rng(0).normal(scale=10**-5.5, size=(4, 128)).astype(np.float32)
    variance = x.astype(np.float64).var(-1, keepdims=True)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(variance + 1e-12)
    for layer in layers:
        np.testing.assert_allclose(layer(x), expected, rtol=1e-3, atol=1e-4, err_msg=layer.path)


def random_draws(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> Counter:
    """How often a training pass draws dropout masks, by the shape drawn."""
    draws: Counter = Counter()
    seeds: list[tuple[int, ...]] = []

    def count(name: str) -> None:
        kernel = getattr(fused, name)

        def counting(x, *args, rate, **kwargs):
            draws[tuple(x.shape)] += rate > 0.0
            seeds.append(tuple(np.asarray(args[-1]).tolist()))
            return kernel(x, *args, rate=rate, **kwargs)

        monkeypatch.setattr(fused, name, counting)

    with monkeypatch.context() as monkeypatch, dropout_seed(tf.constant([1, 2])):
        for name in ("dropout", "drop_add_norm", "attention_weights"):
            count(name)
        model(INPUTS, training=True)
    assert len(set(seeds)) == len(seeds), "every place has a mask of its own"
    return +draws


HIDDEN_SHAPE, SCORES_SHAPE, POOLED_SHAPE = (B, T, 24), (B, 3, T, T), (B, 24)


@pytest.mark.parametrize("norm_first", [False, True])
def test_dropout_draws_once_after_the_embeddings_and_three_times_a_layer_and_nowhere_else(
    norm_first, monkeypatch
):
    def draws(kind="pretrainer", **rates):
        return random_draws(make_models(**SMALL, norm_first=norm_first, **rates)[kind], monkeypatch)

    everywhere = {HIDDEN_SHAPE: 1 + 2 * 2, SCORES_SHAPE: 2}
    assert draws() == everywhere
    assert draws("classifier") == everywhere | {POOLED_SHAPE: 1}
    assert draws(attention_probs_dropout_prob=0.0) == {HIDDEN_SHAPE: 5}
    assert draws(hidden_dropout_prob=0.0) == {SCORES_SHAPE: 2}


def test_default_rates_are_a_tenth():
    config = ModelConfig()
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.1
    assert FinetuningConfig().classifier_dropout_prob == 0.1


def randomized(model: keras.Model) -> dict[str, np.ndarray]:
    """Give every weight, biases too, random values; float64 copies by path below the model."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        centre = 1.0 if weight.path.endswith("gamma") else 0.0
        weight.assign(rng.normal(centre, 0.3, weight.shape).astype(np.float32))
    return {w.path.split("/", 1)[1]: np.asarray(w.value, np.float64) for w in model.weights}


def layer_norm(x, weights, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def assert_heads_without_dropout(outputs, weights, hidden):
    """Both heads' scores from the encoder's output, (B, T, W), computed by hand."""
    pooled = np.tanh(dense(hidden[:, 0], weights, "encoder/pooler/dense"))
    next_sentence = dense(pooled, weights, "next_sentence/dense")
    np.testing.assert_allclose(outputs["next_sentence_logits"], next_sentence, atol=1e-5)
    gathered = np.take_along_axis(hidden, INPUTS["masked_lm_positions"][..., None], axis=1)
    transformed = layer_norm(
        gelu(dense(gathered, weights, "masked_lm/dense")), weights, "masked_lm/layer_norm"
    )
    table = weights["encoder/embeddings/word_embeddings/embeddings"]
    logits = transformed @ table.T + weights["masked_lm/bias"]
    np.testing.assert_allclose(outputs["masked_lm_logits"], logits, atol=1e-4)


@pytest.mark.parametrize("norm_first", [False, True])
def test_hidden_dropout_stands_after_the_embeddings_norm_and_before_both_residual_sums(norm_first):
    """All dropped: zeros from the embeddings (the norm's shift, too), and bare residuals."""
    model = make_models(
        **SMALL,
        norm_first=norm_first,
        hidden_dropout_prob=EVERYTHING,
        attention_probs_dropout_prob=EVERYTHING,
    )["pretrainer"]
    weights = randomized(model)
    hidden = np.zeros((B, T, 24))
    if norm_first:
        hidden = layer_norm(hidden, weights, "encoder/final_layer_norm")
    else:
        for name in ("encoder/layer_0", "encoder/layer_1"):
            hidden = layer_norm(hidden, weights, f"{name}/attention_layer_norm")
            hidden = layer_norm(hidden, weights, f"{name}/output_layer_norm")
    encoded = model.encoder(INPUTS, training=True)
    np.testing.assert_allclose(encoded["sequence_output"], hidden, atol=1e-5)
    assert_heads_without_dropout(model(INPUTS, training=True), weights, hidden)


def test_attention_dropout_stands_on_the_weights_that_sum_the_values():
    """All dropped: no value gets through, the output projection's bias does."""
    model = make_models(**SMALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=EVERYTHING)[
        "pretrainer"
    ]
    weights = randomized(model)
    hidden = np.asarray(model.encoder.embeddings(INPUTS["input_ids"], INPUTS["segment_ids"]))
    for name in ("encoder/layer_0", "encoder/layer_1"):
        attended = weights[f"{name}/attention/output/bias"]
        hidden = layer_norm(hidden + attended, weights, f"{name}/attention_layer_norm")
        transformed = dense(
            gelu(dense(hidden, weights, f"{name}/intermediate")), weights, f"{name}/output"
        )
        hidden = layer_norm(hidden + transformed, weights, f"{name}/output_layer_norm")
    encoded = model.encoder(INPUTS, training=True)
    np.testing.assert_allclose(encoded["sequence_output"], hidden, atol=1e-5)
    assert_heads_without_dropout(model(INPUTS, training=True), weights, hidden)


def test_classifier_dropout_stands_before_the_classifier_and_is_a_rate_of_its_own():
    model = make_models(**SMALL, classifier_dropout=EVERYTHING)["classifier"]
    weights = randomized(model)
    scores = np.broadcast_to(weights["head/dense/bias"], (B, NUM_CLASSES))
    np.testing.assert_allclose(model(INPUTS, training=True), scores, atol=1e-6)
    model = make_models(
        **SMALL,
        classifier_dropout=0.0,
        hidden_dropout_prob=EVERYTHING,
        attention_probs_dropout_prob=EVERYTHING,
    )["classifier"]
    weights = randomized(model)
    pooled = np.asarray(model.encoder(INPUTS, training=True)["pooled_output"])
    np.testing.assert_allclose(
        model(INPUTS, training=True), dense(pooled, weights, "head/dense"), atol=1e-5
    )
