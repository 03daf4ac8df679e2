from pathlib import Path

import keras
import numpy as np
import pytest

from bert_tf.config import ModelConfig
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.classification import Classification
from bert_tf.tasks.models import build_model
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.strategy import make_single_device_strategy
from bert_tf.training.stages.held_out import HeldOut
from tests.labelled import make_examples


def test_evaluation_by_length_gives_the_metrics_of_evaluation_in_order(tmp_path: Path) -> None:
    words = ["good", "bad", "film", "plot"]
    tokenizer = WordPieceTokenizer([*CONTROL_TOKENS, *words])
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, rng.integers(1, 30))) for _ in range(21)]
    labels = [str(rng.integers(2)) for _ in texts]
    task, examples = Classification(), make_examples(texts, labels)
    description = ModelDescription(
        kind="classification",
        architecture=ModelConfig(
            num_hidden_layers=1,
            hidden_size=24,
            num_attention_heads=3,
            intermediate_size=40,
            vocab_size=tokenizer.vocab_size,
            max_position_embeddings=32,
        ),
        max_seq_length=32,
        class_names=("0", "1"),
        classifier_dropout_prob=0.1,
    )
    keras.utils.set_random_seed(1)
    strategy = make_single_device_strategy()
    with strategy.scope():
        model = build_model(description, dtype="float32")
    metrics = []
    for group_by_length in (False, True):
        held_out = HeldOut(
            task,
            examples,
            description,
            tokenizer=tokenizer,
            batch_size=4,
            group_by_length=group_by_length,
        )
        evaluate = Evaluation(
            model,
            task.objective(description),
            held_out.batches,
            strategy=strategy,
            rate=held_out.rate,
        )
        metrics.append(evaluate() | held_out.report(tmp_path).metrics)
    plain, grouped = metrics
    assert grouped == pytest.approx(plain, rel=1e-5)
    assert "classification_loss" in plain
    assert "macro_f1" in plain
