"""Cached steps of the encoder-decoder: those of the full pass, in a loop, on a stock server."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.exporting.serving_ops import serving_ops
from bert_tf.models.bert import ENCODER_INPUTS
from tests.models.small_transformer import KINDS, make_batch, make_model

NUM_HYPOTHESES = 3


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_cached_steps_of_several_hypotheses_equal_the_full_pass(kind):
    """Hypotheses with tokens of their own, whose cache is reordered as a search does it."""
    model, batch = make_model(**kind), make_batch()
    rng = np.random.default_rng(5)
    prefixes = rng.integers(0, 30, (3, NUM_HYPOTHESES, 6), np.int32)  # (batch, hypotheses, length)
    memory, cache = model.begin(batch)
    assert all(each.shape[1:3] == (1, 0) for each in tf.nest.flatten(cache))
    cache = tf.nest.map_structure(lambda x: tf.repeat(x, NUM_HYPOTHESES, axis=1), cache)
    rows = {name: np.repeat(batch[name], NUM_HYPOTHESES, axis=0) for name in ENCODER_INPUTS}
    for position in range(6):
        ids = tf.constant(prefixes[:, :, position])
        logits, cache = model.step(ids, tf.constant(position), memory, cache)
        assert all(each.shape[2] == position + 1 for each in tf.nest.flatten(cache))
        full = model({**rows, "decoder_input_ids": prefixes.reshape(9, 6)[:, : position + 1]})
        expected = np.asarray(full)[:, -1].reshape(logits.shape)
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        order = np.stack([rng.permutation(NUM_HYPOTHESES) for _ in range(3)])
        prefixes = np.take_along_axis(prefixes, order[:, :, None], axis=1)
        cache = tf.nest.map_structure(lambda x, o=order: tf.gather(x, o, batch_dims=1), cache)


def test_steps_run_in_a_loop_of_the_graph_whose_shapes_are_not_known():
    model, batch = make_model(), make_batch()

    @tf.function(
        input_signature=[
            {name: tf.TensorSpec([None, None], tf.int32) for name in ("input_ids", "input_mask")}
        ]
    )
    def greedy(inputs):
        memory, cache = model.begin(inputs)
        ids = tf.zeros([tf.shape(inputs["input_ids"])[0], 1], tf.int32)
        shapes = tf.nest.map_structure(lambda x: tf.TensorShape([None, 1, None, x.shape[3]]), cache)

        def body(position, ids, cache):
            logits, cache = model.step(ids[:, -1:], position, memory, cache)
            newest = tf.argmax(logits[:, :, 1:], -1, tf.int32) + 1
            return position + 1, tf.concat([ids, newest], axis=1), cache

        return tf.while_loop(
            lambda position, *_: position < 6,
            body,
            (tf.constant(0), ids, cache),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None]), shapes),
        )[1]

    inputs = {name: tf.constant(batch[name]) for name in ("input_ids", "input_mask")}
    found = np.asarray(greedy(inputs))
    again = np.zeros((3, 1), np.int32)
    for _ in range(6):
        logits = np.asarray(model({**batch, "decoder_input_ids": again}))[:, -1, 1:]
        again = np.concatenate([again, logits.argmax(-1).astype(np.int32)[:, None] + 1], axis=1)
    np.testing.assert_array_equal(found, again)


def test_a_stock_server_can_compute_the_loop():
    """Its operations are the server's, and none asks for the compiler."""
    model, batch = make_model(norm_first=True, dtype="mixed_bfloat16"), make_batch()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
    def two_steps(input_ids, input_mask):
        memory, cache = model.begin({"input_ids": input_ids, "input_mask": input_mask})
        ids = tf.zeros_like(input_ids[:, :1])
        _, cache = model.step(ids, tf.constant(0), memory, cache)
        return model.step(ids, tf.constant(1), memory, cache)

    concrete = two_steps.get_concrete_function()
    graph = concrete.graph.as_graph_def()
    assert not [f for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    own = {f.signature.name for f in graph.library.function}
    assert {node.op for node in nodes} - own <= serving_ops()
    logits, _ = concrete(tf.constant(batch["input_ids"]), tf.constant(batch["input_mask"]))
    expected = model({**batch, "decoder_input_ids": np.zeros((3, 2), np.int32)})[:, 1]
    np.testing.assert_allclose(logits[:, 0], expected, atol=0.03 * np.abs(expected).max())


def test_steps_over_a_source_whose_padding_is_not_computed_are_the_same():
    model, batch = make_model(), make_batch()
    expected = np.asarray(model(batch))[:, 0]
    model.encoder.skips_padding = True
    memory, cache = model.begin(batch)
    logits, _ = model.step(batch["decoder_input_ids"][:, :1], tf.constant(0), memory, cache)
    np.testing.assert_allclose(logits[:, 0], expected, atol=1e-5)


def test_no_tensor_of_a_step_holds_the_memory_once_for_each_hypothesis():
    model, num_hypotheses, length = make_model(), 11, 20
    ones = np.ones((3, length), np.int32)
    memory, cache = model.begin({"input_ids": ones, "input_mask": ones})
    cache = tf.nest.map_structure(lambda x: tf.repeat(x, num_hypotheses, axis=1), cache)
    graph = (
        tf.function(model.step)
        .get_concrete_function(
            tf.zeros([3, num_hypotheses], tf.int32), tf.constant(0), memory, cache
        )
        .graph
    )
    sizes = [
        output.shape.num_elements() or 0 for op in graph.get_operations() for output in op.outputs
    ]
    of_memory = 3 * length * 24
    assert of_memory < max(sizes) < num_hypotheses * of_memory / 4
