"""A training step of an encoder-decoder: however it is computed the same, and it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.models.flops import training_flops
from bert_tf.models.objective import SequenceToSequenceObjective
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.objective import summarize
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.measuring.workload import workload
from bert_tf.training.optimizers import make_optimizer, parameters_of
from tests.models.small_transformer import SMALL, make_batch, make_model

PAD, START = 0, 1
LENGTH, NUM_WORDS = 5, 12
OPTIMIZER = OptimizerConfig(
    learning_rate=5e-3, schedule="inverse_sqrt", warmup_share=0.2, beta_2=0.98, epsilon=1e-9
)
"""As in Vaswani et al. 2017, section 5.3, but for the rate."""


def reversals(num_rows: int, *, seed: int) -> dict[str, np.ndarray]:
    """Sources of 2 to 5 words, and the same words from the last to the first."""
    rng = np.random.default_rng(seed)
    is_word = np.arange(LENGTH) < rng.integers(2, LENGTH + 1, (num_rows, 1))
    source = np.where(is_word, rng.integers(2, 2 + NUM_WORDS, (num_rows, LENGTH)), PAD)
    targets = [np.pad(row[row > 0][::-1], (0, LENGTH - (row > 0).sum())) for row in source]
    target = np.array(targets, np.int32)
    return {
        "input_ids": source.astype(np.int32),
        "input_mask": is_word.astype(np.int32),
        "decoder_input_ids": np.pad(target, [(0, 0), (1, 0)], constant_values=START)[:, :-1],
        "labels": target,
        "label_weights": is_word.astype(np.float32),
    }


def take_steps(
    num_steps: int, *, num_replicas: int = 1, num_parts: int = 1, label_smoothing: float = 0.0
) -> tuple[list[dict[str, float]], keras.Model]:
    """Metrics of each step, and the model after the last one."""
    strategy = make_strategy(num_logical_devices=num_replicas)
    keras.utils.set_random_seed(7)
    config = ModelConfig(**SMALL | {"num_hidden_layers": 1, "num_decoder_layers": 1})
    with strategy.scope():
        model = EncoderDecoder(config)
        model.build(None)
        optimizer = make_optimizer(model, config=OPTIMIZER, num_steps=100)
    step = make_train_step(
        model,
        SequenceToSequenceObjective(label_smoothing=label_smoothing),
        optimizer,
        strategy=strategy,
        num_parts=num_parts,
        max_grad_norm=1.0,
        seed=0,
    )

    def batches() -> tf.data.Dataset:
        all_rows = [reversals(64, seed=seed) for seed in range(10)]
        stacked = {name: np.stack([rows[name] for rows in all_rows]) for name in all_rows[0]}
        return tf.data.Dataset.from_tensor_slices(stacked).repeat()

    iterator = iter(split_batches(batches, strategy))
    seen = []
    for number in range(num_steps):
        sums, weights, extras = step(iterator, tf.constant(number, tf.int64))
        norm = {"gradient_norm": float(extras["gradient_norm"])}
        seen.append(summarize(sums, weights) | norm)
    return seen, model


def test_a_step_does_not_depend_on_how_its_rows_are_dealt():
    """Rows have different numbers of target tokens: the mean is that of the global batch."""
    expected, _ = take_steps(2, label_smoothing=0.1)
    seen, _ = take_steps(2, num_replicas=2, num_parts=2, label_smoothing=0.1)
    for ours, theirs in zip(seen, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_it_learns_to_reverse_what_it_has_not_seen():
    seen, model = take_steps(250)
    assert seen[0]["target_token_loss"] == pytest.approx(np.log(50), abs=1.0)
    batch = reversals(64, seed=99)
    guesses = np.asarray(model(batch)).argmax(-1)
    is_word = batch["label_weights"] > 0
    accuracy = (guesses == batch["labels"])[is_word].mean()
    assert accuracy > 0.8, "each word of the source is about 1/12 by chance"


def test_attention_kernels_are_three_matrices_and_vectors_are_not_decayed():
    model = make_model(norm_first=True, tie_output=False, position_embedding="learned")
    parameters = {p.variable.path: p for p in parameters_of(model, config=OPTIMIZER)}
    kernels = {
        layer.query_key_value.kernel.path
        for layer in model._flatten_layers()
        if isinstance(layer, MultiHeadAttention)
    }
    assert len(kernels) == 2 + 2 * 2
    assert {path for path, p in parameters.items() if p.num_blocks == 3} == kernels
    for path, parameter in parameters.items():
        assert parameter.decays == (len(parameter.variable.shape) == 2), path


def test_rates_fall_from_the_top_of_each_side():
    """An encoder of two layers and a decoder of three, whose tables are one."""
    model = make_model(num_hidden_layers=2, num_decoder_layers=3, norm_first=True)
    found = parameters_of(model, config=OptimizerConfig(layer_decay=0.5))
    factors = {id(parameter.variable): parameter.rate_factor for parameter in found}

    def of(layer: keras.layers.Layer) -> set[float]:
        return {factors[id(variable)] for variable in layer.trainable_variables}

    assert [of(it) for it in model.encoder.transformer_layers] == [{0.25}, {0.5}]
    assert [of(it) for it in model.decoder.transformer_layers] == [{0.125}, {0.25}, {0.5}]
    assert of(model.encoder.embeddings) == {0.125}
    assert of(model.decoder.embeddings) <= {0.125, 0.0625}
    assert factors[id(model.decoder.embeddings.word_embeddings.embeddings)] == 0.125
    assert of(model.decoder.final_layer_norm) == {1.0}


def test_evaluation_measures_the_likelihood_whatever_was_minimised():
    """Beside NumPy's log-softmax; in training the loss keeps its smoothing."""
    model, batch = make_model(), make_batch()
    objective = SequenceToSequenceObjective(label_smoothing=0.3)
    weights = np.asarray(batch["label_weights"])
    rows = {
        "rows": np.arange(len(weights), dtype=np.int32),
        "weights": np.ones(len(weights), np.float32),
    }

    def batches() -> tf.data.Dataset:
        whole = {**batch, **rows}
        return tf.data.Dataset.from_tensors({k: tf.constant(v) for k, v in whole.items()})

    metrics = Evaluation(model, objective, batches, strategy=make_strategy())()
    logits = np.asarray(model(batch, training=False), np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_probs, np.asarray(batch["labels"])[..., np.newaxis], -1)[..., 0]
    plain = -(chosen * weights).sum() / weights.sum()
    assert metrics["target_token_loss"] == pytest.approx(plain, rel=1e-5)
    assert metrics["target_token_perplexity"] == pytest.approx(np.exp(plain), rel=1e-5)
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    trained = summarize(
        objective.sums(model(tensors, training=False), tensors), objective.weights(tensors)
    )
    assert trained["target_token_loss"] != pytest.approx(plain, rel=1e-3)
    assert "target_token_perplexity" not in trained


def test_a_steps_work_counts_the_decoder():
    model, batch = make_model(), make_batch()
    amounts = workload(
        model, {name: tf.constant(value) for name, value in batch.items()}, head_flops=0.0
    )
    sizes = {"num_rows": 3, "length": 7, "num_predictions": 0, "num_sequences": 3}
    expected = training_flops(model.config, **sizes, head_flops=0.0, target_length=6)
    assert float(amounts["num_flops"]) == expected
    num_targets = (batch["label_weights"] > 0).sum()
    assert float(amounts["num_real_tokens"]) == batch["input_mask"].sum() + num_targets
