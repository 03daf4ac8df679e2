"""An encoder-decoder that starts from a BERT."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.layers.attention import causal_mask
from bert_tf.models.bert import BertEncoder
from bert_tf.models.tensors import weights_by_name
from bert_tf.models.warm_start import start_from_encoder
from tests.models.small_transformer import KINDS, SMALL, make_batch, make_model
from tests.references import randomize

LIKE_BERT = KINDS["like BERT"]


def make_encoder(**settings) -> BertEncoder:
    encoder = BertEncoder(ModelConfig(**SMALL | LIKE_BERT | {"num_decoder_layers": 0} | settings))
    encoder.build(None)
    randomize(encoder, seed=3)
    return encoder


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_encoder_gives_what_it_gave(norm_first):
    encoder, batch = make_encoder(norm_first=norm_first), make_batch()
    model = make_model(**LIKE_BERT, norm_first=norm_first)
    start_from_encoder(model, encoder)
    expected = encoder(batch)["sequence_output"]
    np.testing.assert_array_equal(model.encoder(batch)["sequence_output"], expected)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("share_embeddings", [False, True])
def test_the_decoder_without_cross_attention_is_the_encoder_that_sees_no_later_token(
    share_embeddings, norm_first
):
    """Attention to a memory that gives nothing is no part of a pre-LN layer; of a post-LN one it is
    a LayerNorm, which of what is normalised already changes nothing but for its epsilon."""
    encoder = make_encoder(norm_first=norm_first)
    model = make_model(
        **LIKE_BERT, share_embeddings=share_embeddings, norm_first=norm_first, seed=5
    )
    for weight in encoder.weights:  # as they are when attention's LayerNorm only normalises
        if "attention_layer_norm" in weight.path and not norm_first:
            weight.assign(tf.ones_like(weight) if "gamma" in weight.path else 0 * weight)
    start_from_encoder(model, encoder)
    for layer in model.decoder.transformer_layers:
        for weight in layer.cross_attention.weights:
            weight.assign(tf.zeros_like(weight))
        layer.cross_attention_layer_norm.gamma.assign(tf.ones([24]))
        layer.cross_attention_layer_norm.beta.assign(tf.zeros([24]))
    ids = make_batch()["decoder_input_ids"]
    hidden = encoder.embeddings(ids, np.zeros_like(ids))
    for layer in encoder.transformer_layers:
        hidden = layer(hidden, attention_mask=causal_mask(6))
    expected = encoder._normalized(hidden, False)
    memory = tf.random.stateless_normal([3, 7, 24], [1, 2])
    np.testing.assert_allclose(model.decoder(ids, memory), expected, atol=2e-5)


def test_all_but_cross_attention_is_copied_and_a_table_of_the_output_too():
    model, encoder = make_model(**LIKE_BERT, tie_output=False), make_encoder()
    before = {name: np.asarray(w).copy() for name, w in weights_by_name(model).items()}
    start_from_encoder(model, encoder)
    unchanged = {
        name for name, w in weights_by_name(model).items() if (np.asarray(w) == before[name]).all()
    }
    cross = {name for name in before if "cross_attention" in name}
    assert unchanged == cross
    words = encoder.embeddings.word_embeddings.embeddings
    np.testing.assert_array_equal(model.output_embeddings.embeddings, words)


def test_a_target_vocabulary_of_its_own_keeps_its_random_table():
    model = make_model(**LIKE_BERT, share_embeddings=False, target_vocab_size=30)
    before = np.asarray(model.output_embeddings.embeddings).copy()
    start_from_encoder(model, make_encoder())
    np.testing.assert_array_equal(model.output_embeddings.embeddings, before)


def test_what_is_not_alike_is_refused_and_nothing_copied():
    model, encoder = make_model(), make_encoder()
    before = model.get_weights()
    with pytest.raises(
        ValueError,
        match=r"type_vocab_size=0, but 2 in the encoder; hidden_act='relu', but 'gelu' in the .*"
        r"position_embedding='sinusoidal', but 'learned' in the encoder",
    ):
        start_from_encoder(model, encoder)
    with pytest.raises(ValueError, match="num_decoder_layers=1, but 2 layers in the encoder"):
        start_from_encoder(make_model(**LIKE_BERT, num_decoder_layers=1), encoder)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
