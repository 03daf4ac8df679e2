"""The encoder-decoder: what a position may see, one pass over all, cached steps, its settings."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.tensorflow import fused
from bert_tf.models.classifier import BertClassifier
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.models.tensors import weights_by_name
from tests.models.small_transformer import KINDS, SMALL, loss_and_gradients, make_batch, make_model


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_later_target_tokens_cannot_change_earlier_outputs(kind):
    model, batch = make_model(**kind), make_batch()
    before = np.asarray(model(batch))
    for position in range(6):
        ids = batch["decoder_input_ids"].copy()
        ids[:, position:] = (ids[:, position:] + 7) % 30
        after = np.asarray(model({**batch, "decoder_input_ids": ids}))
        np.testing.assert_array_equal(after[:, :position], before[:, :position])
        assert np.abs(after[:, position] - before[:, position]).max() > 1e-3


def test_source_padding_cannot_change_an_output_and_source_tokens_do():
    model, batch = make_model(), make_batch()
    before = np.asarray(model(batch))
    padding = np.where(batch["input_mask"] == 0, 9, batch["input_ids"]).astype(np.int32)
    np.testing.assert_array_equal(model({**batch, "input_ids": padding}), before)
    tokens = batch["input_ids"].copy()
    tokens[:, 0] += 1
    changed = np.asarray(model({**batch, "input_ids": tokens}))
    assert np.abs(changed - before).max(axis=-1).min() > 1e-4, "every position reads the source"


def test_target_padding_reaches_neither_loss_nor_gradients():
    model, batch = make_model(), make_batch()
    is_padding = batch["label_weights"] == 0
    changed = {
        **batch,
        "labels": np.where(is_padding, 11, batch["labels"]).astype(np.int32),
        # What stands at a padded position is read by that position alone.
        "decoder_input_ids": np.where(is_padding, 12, batch["decoder_input_ids"]).astype(np.int32),
    }
    loss, gradients = loss_and_gradients(model, batch)
    same_loss, same_gradients = loss_and_gradients(model, changed)
    np.testing.assert_allclose(same_loss, loss, rtol=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(same_gradients[name], gradient, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("norm_first", [False, True])
def test_dropout_draws_once_after_embeddings_and_once_a_sublayer_and_on_attention_weights(
    norm_first, monkeypatch
):
    """As in section 5.4 of the paper; on the weights where `attention_probs_dropout_prob` asks."""
    model = make_model(
        norm_first=norm_first, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3
    )
    draws, seeds = Counter(), []
    for name in ("dropout", "drop_add_norm", "attention_weights"):
        kernel = getattr(fused, name)

        def counting(x, *args, kernel=kernel, rate, **kwargs):
            draws[tuple(x.shape), round(rate, 4)] += 1
            seeds.append(tuple(np.asarray(args[-1]).tolist()))
            return kernel(x, *args, rate=rate, **kwargs)

        monkeypatch.setattr(fused, name, counting)
    with dropout_seed(tf.constant([1, 2])):
        model(make_batch(), training=True)
    assert draws == {
        ((3, 7, 24), 0.2): 1 + 2 * 2,
        ((3, 6, 24), 0.2): 1 + 2 * 3,
        ((3, 3, 7, 7), 0.3): 2,
        ((3, 3, 6, 6), 0.3): 2,
        ((3, 3, 6, 7), 0.3): 2,
    }
    assert len(set(seeds)) == len(seeds), "every place has a mask of its own"


@pytest.mark.parametrize("rematerialize", [False, True])
def test_every_positions_gradient_comes_from_one_pass_without_a_loop(rematerialize):
    model, batch = make_model(rematerialize=rematerialize), make_batch()
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function
    def step(batch, seed):
        with tf.GradientTape() as tape, dropout_seed(seed):
            logits = model(batch, training=True)
        return tape.gradient(logits, variables)

    graph = step.get_concrete_function(
        {name: tf.constant(value) for name, value in batch.items()}, tf.constant([1, 2])
    ).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    kinds = {node.op for node in nodes}
    assert "MatMul" in kinds
    assert not kinds & {"While", "StatelessWhile", "Scan", "TensorArrayV3", "TensorListReserve"}
    # Every position, not the last alone, sends a gradient to what it read.
    ids = tf.constant(np.arange(18, dtype=np.int32).reshape(3, 6))
    kernel = model.decoder.transformer_layers[0].attention.query_key_value.kernel.value
    with tf.GradientTape(persistent=True) as tape:
        logits = model({**batch, "decoder_input_ids": ids}, training=True)
        of_positions = [tf.reduce_sum(logits[:, position] ** 2) for position in range(6)]
    for of_position in of_positions:
        assert np.abs(tape.gradient(of_position, kernel)).max() > 1e-3


@pytest.mark.parametrize("norm_first", [False, True])
def test_recomputed_layers_give_loss_and_gradients_of_one_pass(norm_first):
    """The memory, too, receives its gradient through the layers that are computed twice."""
    rates = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}
    batch, results = make_batch(), []
    for rematerialize in (False, True):
        model = make_model(rematerialize=rematerialize, norm_first=norm_first, **rates)
        with dropout_seed(tf.constant([3, 4])):
            results.append(loss_and_gradients(model, batch))
    (loss, gradients), (same_loss, same_gradients) = results
    np.testing.assert_allclose(same_loss, loss, rtol=1e-6)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(same_gradients[name], gradient, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_low_precision_keeps_float32_weights_and_logits_and_stays_close(dtype, norm_first):
    exact = make_model(norm_first=norm_first)
    model, batch = make_model(norm_first=norm_first, dtype=dtype), make_batch()
    expected, found = np.asarray(exact(batch)), model(batch)
    assert found.dtype == "float32"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    spread = 0.05 if dtype == "mixed_bfloat16" else 0.01
    np.testing.assert_allclose(found, expected, atol=spread * np.abs(expected).max())
    loss, gradients = loss_and_gradients(model, batch)
    assert np.isfinite(loss)
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all(), name
    memory, cache = model.begin(batch)
    logits, cache = model.step(batch["decoder_input_ids"][:, :1], tf.constant(0), memory, cache)
    assert {each.dtype.name for each in tf.nest.flatten(cache)} == {dtype.removeprefix("mixed_")}
    np.testing.assert_allclose(logits[:, 0], expected[:, 0], atol=spread * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_configuration_round_trips(kind):
    model, batch = make_model(**kind), make_batch()
    copy = EncoderDecoder.from_config(model.get_config())
    copy.build(None)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(batch), model(batch))
    assert copy.get_config() == model.get_config()


def test_tables_are_shared_as_the_configuration_says():
    def tables(**settings):
        names = weights_by_name(make_model(**settings))
        return sorted(name.removesuffix("/embeddings") for name in names if "embeddings" in name)

    learned = {"position_embedding": "learned"}
    source, target = "encoder/embeddings/word_embeddings", "decoder/embeddings/word_embeddings"
    positions = [f"{part}/embeddings/position_embeddings" for part in ("decoder", "encoder")]
    assert tables() == [source]
    assert tables(**learned) == sorted([*positions, source])
    assert tables(share_embeddings=False) == [target, source]
    assert tables(tie_output=False) == [source, "output"]
    assert tables(share_embeddings=False, tie_output=False) == [target, source, "output"]


def test_sizes_are_those_of_the_paper():
    """Table 3 says 65 and 213 million, with a vocabulary of about 37,000 pieces."""
    for size, expected in (("transformer_base", 65), ("transformer_big", 213)):
        config = ModelConfig(size=size, vocab_size=37_000)
        assert round(_num_parameters(config) / 1e6) in range(expected - 3, expected + 4)
    small = ModelConfig(**SMALL)
    assert _num_parameters(small) == make_model().count_params()


def _num_parameters(config: ModelConfig) -> int:
    """Of shared tables and sinusoidal positions, counted by hand."""
    width, inner = config.hidden_size, config.intermediate_size
    attention = 4 * (width**2 + width)
    feed_forward = 2 * width * inner + inner + width
    norm = 2 * width
    of_encoder = config.num_hidden_layers * (attention + feed_forward + 2 * norm)
    of_decoder = config.num_decoder_layers * (2 * attention + feed_forward + 3 * norm)
    return config.vocab_size * width + of_encoder + of_decoder


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"must be 0 for BertClassifier. Received: 2"):
        BertClassifier(ModelConfig(**SMALL), num_classes=2, dropout_rate=0.0)
    with pytest.raises(ValueError, match=r"must be above 0 for EncoderDecoder. Received: 0"):
        EncoderDecoder(ModelConfig(size="tiny", vocab_size=50))
    with pytest.raises(ValueError, match=r"has_pooler must be false in an EncoderDecoder"):
        EncoderDecoder(ModelConfig(**SMALL), has_pooler=True)
    with pytest.raises(
        ValueError, match=r"share_embeddings must be false .* vocab_size=50, t.*=30"
    ):
        ModelConfig(**SMALL, target_vocab_size=30)
