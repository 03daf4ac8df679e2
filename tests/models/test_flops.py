"""The arithmetic of a step, against numbers worked out by hand; the products themselves are counted
in `tests/layers/test_jax.py`."""

import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.models.flops import classifier_flops, training_flops
from tests.models.small_transformer import make_batch, make_model

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


def test_a_decoder_by_hand():
    rows = {"num_rows": 3, "length": 5, "num_predictions": 0, "num_sequences": 3}
    encoder = training_flops(CONFIG, **rows, head_flops=0.0)
    config = CONFIG.model_copy(update={"num_decoder_layers": 3, "target_vocab_size": 11})
    both = training_flops(config, **rows, head_flops=0.0, target_length=7)
    # Forward, of a row: key and value of 5 source positions; of 7 target positions six (4, 4),
    # (4, 8) and (8, 4), scores and contexts over 7 and over 5 positions; 11 scores.
    layer = 2 * 5 * 2 * 16 + 7 * (2 * (6 * 16 + 2 * 32) + 2 * (2 * 7 * 4) + 2 * (2 * 5 * 4))
    assert both - encoder == 3 * 3 * (3 * layer + 7 * 2 * 11 * 4)


def test_a_decoders_flops_are_those_of_the_matrix_products_of_its_graph():
    model, batch = make_model(), make_batch()

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            logits = model(batch, training=True)
        return tape.gradient(logits, [variable.value for variable in model.trainable_variables])

    flops = sum(
        _product_flops(op) for op in gradients.get_concrete_function().graph.get_operations()
    )
    num_rows, length = batch["input_ids"].shape
    expected = training_flops(
        model.config,
        num_rows=num_rows,
        length=length,
        num_predictions=0,
        num_sequences=num_rows,
        head_flops=0.0,
        target_length=6,
    )
    assert flops == expected


def _product_flops(op) -> int:
    """Of a matrix product; sums over rows are products with ones, which do not count."""
    if op.type not in ("MatMul", "BatchMatMulV2"):
        return 0
    is_transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    left, output = op.inputs[0].shape, op.outputs[0].shape
    if op.type == "MatMul" and left[0] == 1:
        return 0
    return 2 * output.num_elements() * left[-2 if is_transposed else -1]
