"""The arithmetic of a step, against numbers worked out by hand; the products themselves are counted
in `tests/layers/test_jax.py`."""

from bert_tf.config import ModelConfig
from bert_tf.models.flops import classifier_flops, training_flops

CONFIG = ModelConfig(
    num_hidden_layers=2,
    hidden_size=4,
    num_attention_heads=2,
    intermediate_size=8,
    vocab_size=10,
)
HEAD = classifier_flops(CONFIG, num_outputs=2)


def test_a_pretraining_step_by_hand():
    flops = training_flops(
        CONFIG, num_rows=3, length=5, num_predictions=6, num_sequences=3, head_flops=HEAD
    )
    # One position and layer, forward: query, key, value and output 4 x (4, 4), feed-forward (4, 8)
    # and (8, 4), 2 operations each; scores and context 2 x 5 x 4, 2 operations each.
    layer = 2 * (4 * 16 + 2 * 32) + 2 * (2 * 5 * 4)
    heads = 6 * 2 * (16 + 40) + 3 * 2 * (16 + 8)
    assert flops == 3 * (15 * 2 * layer + heads)


def test_a_model_without_heads_has_its_layers_only_and_a_classifier_its_classes():
    sizes = {"num_rows": 1, "length": 8, "num_predictions": 0, "num_sequences": 1}
    bare = training_flops(CONFIG, **sizes, head_flops=0.0)
    head = classifier_flops(CONFIG, num_outputs=7)
    assert training_flops(CONFIG, **sizes, head_flops=head) - bare == 6 * (16 + 7 * 4)
    assert training_flops(CONFIG, **sizes | {"num_rows": 4}, head_flops=0.0) == 4 * bare
