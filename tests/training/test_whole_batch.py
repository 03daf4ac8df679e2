"""In-batch negatives: the step of one device, whatever the batch is split into."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.data.batches.labelled import labelled_batches
from bert_tf.data.batches.labelled_groups import encode_groups
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.embedding import Embedding
from bert_tf.tasks.models import build_model
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.optimizers import make_optimizer
from tests.references import ARCHITECTURE, randomize

LETTERS = list("abcdefgh")
TOKENIZER = WordPieceTokenizer([*CONTROL_TOKENS, *LETTERS])
TEXTS = [" ".join(LETTERS[start : start + 1 + start % 4]) for start in range(8)]
"""Of one to four words, so that replicas have batches of other lengths."""
LOSSES = {
    "ranking": {"loss": "ranking", "negative_fields": ["other"], "matryoshka": {8: 1.0, 4: 0.5}},
    "cosent": {"loss": "cosent"},
}


def encoded_of(task: Embedding):
    columns = [TEXTS, TEXTS[::-1]]
    targets = {}
    if task.settings.negative_fields:
        columns.append([*TEXTS[3:], *TEXTS[:3]])
    if task.settings.loss == "cosent":
        targets = {"scores": np.linspace(0.0, 1.0, 8).astype(np.float32)}
    return encode_groups(
        columns,
        prefixes=[""] * len(columns),
        targets=targets,
        tokenizer=TOKENIZER,
        max_seq_length=12,
    )


def step_of(
    loss: str, num_replicas: int, num_parts: int, *, dropout: float = 0.0
) -> tuple[list[float], list[np.ndarray]]:
    """Loss, weight and gradient norm of a step of eight examples, and the weights behind it."""
    task = Embedding.with_options(LOSSES[loss], name="embedding")
    architecture = ARCHITECTURE.model_copy(
        update={"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    )
    description = ModelDescription(
        kind="embedding",
        architecture=architecture.model_copy(update={"vocab_size": TOKENIZER.vocab_size}),
        max_seq_length=12,
        pooling="mean",
        has_pooler=False,
    )
    strategy = make_strategy(num_logical_devices=num_replicas)
    with strategy.scope():
        model = build_model(description)
        randomize(model)
        config = OptimizerConfig(name="lamb", learning_rate=0.01)
        optimizer = make_optimizer(model, config=config, num_steps=100)
    objective = task.objective(description)
    step = make_train_step(
        model,
        objective,
        optimizer,
        strategy=strategy,
        num_parts=num_parts,
        max_grad_norm=1.0,
        seed=0,
    )

    def batches(**worker: int) -> tf.data.Dataset:
        return labelled_batches(encoded_of(task), batch_size=8, is_training=True, seed=1, **worker)

    iterator = iter(split_batches(batches, strategy, is_endless=True))
    sums, weights, extras = step(iterator, tf.constant(50, tf.int64))
    evaluation = Evaluation(
        model,
        objective,
        lambda **worker: labelled_batches(
            encoded_of(task), batch_size=8, is_training=False, **worker
        ),
        strategy=strategy,
    )
    numbers = [sums.loss["embedding"], weights["embedding"], extras["gradient_norm"]]
    return (
        [*map(float, numbers), evaluation()["loss"]],
        [weight.numpy() for weight in model.weights],
    )


@pytest.fixture(scope="module", params=LOSSES)
def loss(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def step_of_one(loss):
    return step_of(loss, 1, 1)


@pytest.mark.parametrize(
    ("num_replicas", "num_parts"), [(1, 2), (1, 4), (2, 1), (2, 2), (4, 1), (4, 2)]
)
def test_replicas_and_micro_batches_take_the_step_of_one(
    loss, step_of_one, num_replicas, num_parts
):
    wanted, found = step_of_one, step_of(loss, num_replicas, num_parts)
    assert found[0] == pytest.approx(wanted[0], rel=1e-5)
    for ours, theirs in zip(found[1], wanted[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_step_is_no_sum_of_the_steps_of_its_parts(loss, step_of_one):
    """The loss of one example depends on the others: the test above could fail."""
    assert step_of_one[0][0] > 0
    assert step_of_one[0][2] > 1e-3


def test_a_part_is_dropped_out_alike_both_times(monkeypatch):
    """The derivative is that of the embeddings that the loss was computed of."""
    from bert_tf.models.embedder import BertEmbedder

    seen = []
    plain = BertEmbedder.call

    def watched(self, inputs, training=False):
        outputs = plain(self, inputs, training=training)
        if training:
            tf.py_function(lambda it: seen.append(it.numpy()), [outputs["embedding"]], [])
        return outputs

    monkeypatch.setattr(BertEmbedder, "call", watched)
    step_of("ranking", 1, 2, dropout=0.3)
    assert len(seen) == 4, "two parts, each of them twice"
    one, same, other, like_it = sorted(seen, key=lambda it: float(it.sum()))  # in any order
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(other, like_it)
    assert np.abs(one - other).max() > 1e-3
