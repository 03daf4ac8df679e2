"""Model folders of the encoder-decoder, and of an encoder that becomes its encoder."""

import json

import numpy as np
import pytest

from bert_tf.config import ModelConfig
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.models.folder import build_model, load_encoder, load_weights, save_model
from bert_tf.models.tensors import weights_by_name
from tests.models.small_transformer import KINDS, SMALL, make_batch, make_model
from tests.references import randomize


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_model_folder_gives_the_model_back_bit_equal(kind, tmp_path):
    description = ModelDescription(
        kind="sequence_to_sequence",
        architecture=ModelConfig(**SMALL | kind),
        max_seq_length=20,
        has_pooler=False,
    )
    model = build_model(description)
    randomize(model)
    save_model(model, description, tmp_path)
    assert load_description(tmp_path) == description
    again = build_model(load_description(tmp_path))
    load_weights(again, tmp_path)
    np.testing.assert_array_equal(again(make_batch()), model(make_batch()))


def test_the_encoder_may_come_from_any_model_folder(tmp_path):
    kind = KINDS["like BERT"]
    architecture = ModelConfig(**SMALL | kind | {"num_decoder_layers": 0})
    description = ModelDescription(kind="pretraining", architecture=architecture, max_seq_length=20)
    bert = build_model(description)
    randomize(bert, seed=7)
    save_model(bert, description, tmp_path)
    model = make_model(**kind)
    load_encoder(model, tmp_path)
    ours = weights_by_name(model)
    for name, weight in weights_by_name(bert).items():
        if name.startswith("encoder/") and "pooler" not in name:
            np.testing.assert_array_equal(ours[name], weight, err_msg=name)


def test_a_description_of_an_encoder_says_nothing_of_decoders():
    names = {"num_decoder_layers", "target_vocab_size", "share_embeddings", "tie_output"}
    names |= {"scale_embeddings", "has_embedding_layer_norm"}

    def written(architecture):
        of_encoder = {"kind": "encoder", "architecture": architecture, "max_seq_length": 20}
        return json.loads(ModelDescription(**of_encoder).as_json())["architecture"]

    base = ModelConfig(size="base", vocab_size=50)
    assert written(base).keys() == ModelConfig.model_fields.keys() - names
    # A size would fill in what is left out.
    of_size = ModelConfig(size="transformer_base", vocab_size=50, num_decoder_layers=0)
    for architecture in (base, of_size):
        assert ModelConfig(**written(architecture)) == architecture
