"""The encoder-decoder: what a position may see, one pass over all, cached steps, its settings."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.exporting.serving_ops import serving_ops
from bert_tf.layers.dropout import dropout_seed
from bert_tf.layers.tensorflow import fused
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.classifier import BertClassifier
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.models.folder import build_model, load_encoder, load_weights, save_model
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.models.tensors import weights_by_name
from tests.models.small_transformer import KINDS, SMALL, loss_and_gradients, make_batch, make_model
from tests.references import randomize

NUM_HYPOTHESES = 3


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
    with pytest.raises(ValueError, match=r"must be 0 in a BertClassifier. Received: 2"):
        BertClassifier(ModelConfig(**SMALL), num_classes=2, dropout_rate=0.0)
    with pytest.raises(ValueError, match=r"must be above 0 in a EncoderDecoder. Received: 0"):
        EncoderDecoder(ModelConfig(size="tiny", vocab_size=50))
    with pytest.raises(ValueError, match=r"has_pooler must be false in an EncoderDecoder"):
        EncoderDecoder(ModelConfig(**SMALL), has_pooler=True)
    with pytest.raises(
        ValueError, match=r"share_embeddings must be false .* vocab_size=50, t.*=30"
    ):
        ModelConfig(**SMALL, target_vocab_size=30)
