"""One small BERT, pretrained with one thing changed, on the texts of `learning_records`."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from benchmarks.ablations import training, variants
from benchmarks.learning_records import prepare_learning_records
from bert_tf.config import MaskingConfig, ModelConfig
from bert_tf.data.batches.masked_batches import baselines, evaluation_batches, training_batches
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.pretrainer import BertPretrainer
from bert_tf.training.engine.objective import PretrainingObjective

BASE: dict[str, Any] = {
    "num_layers": 2,
    "num_heads": 8,
    "hidden_size": 128,
    "attention": "dot product",
    "has_residual": True,
    "norm_first": False,
    "positions": "learned",
    "next_sentence": False,
    "selected_share": 0.3,
    "mask_share": 0.8,
    "learning_rate": 2e-3,
    "warmup_share": 0.1,
    "num_steps": 600,
    "batch_size": 128,
    "length": 16,
    "vocab_size": 150,
    "limit_alphabet": 50,
}
"""Of every variant, but for what it changes. `mask_share`: of the selected tokens; a tenth is
replaced by others and the rest stays.

Short sequences of few kinds of tokens: with 64 tokens a sequence or with words, no variant of this
size finds out in 600 steps which neighbour matters, and all of them end where a model without
positions does. Then no figure would say anything about attention.
"""
WORDS = {
    "selected_share": 0.15,
    "num_steps": 600,
    "batch_size": 64,
    "length": 64,
    "vocab_size": 8000,
    "limit_alphabet": None,
}
"""Whether sentences follow each other is seen in their words, and in longer texts."""
EVAL_BATCH_SIZE = 64


def measure(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """Metrics of `training.train` on held-out documents, and those of guessing.

    All variants of a seed begin with the same weights and see the same batches and, but for
    `mask_share`, the same masks; all are measured with the same masks, 80% of them [MASK].
    """
    records = prepare_learning_records(
        data,
        folder / f"texts-{settings['vocab_size']}-{settings['length']}",
        vocab_size=settings["vocab_size"],
        length=settings["length"],
        repeat=2,
        limit_alphabet=settings["limit_alphabet"],
    )
    masking = MaskingConfig(
        masked_lm_prob=settings["selected_share"],
        max_predictions_per_seq=math.ceil(settings["selected_share"] * settings["length"]),
    )
    metrics = training.train(
        lambda: make_model(settings, vocab_size=Tokenizer.load(records).vocab_size, seed=seed),
        PretrainingObjective(),
        term="masked_lm",
        train_batches=functools.partial(
            training_batches,
            records,
            batch_size=settings["batch_size"],
            masking=masking.model_copy(update={"mask_share": settings["mask_share"]}),
            seed=seed,
        ),
        eval_batches=functools.partial(
            evaluation_batches, records, batch_size=EVAL_BATCH_SIZE, masking=masking, seed=0
        ),
        settings=settings,
        seed=seed,
    )
    return metrics | baselines(records)


def make_model(settings: Mapping[str, Any], *, vocab_size: int, seed: int) -> keras.Model:
    """The variant that `settings` describe, its weights drawn from the seed."""
    positions = settings["positions"]
    config = ModelConfig(
        num_hidden_layers=settings["num_layers"],
        hidden_size=settings["hidden_size"],
        num_attention_heads=settings["num_heads"],
        intermediate_size=4 * settings["hidden_size"],
        vocab_size=vocab_size,
        max_position_embeddings=settings["length"],
        norm_first=settings["norm_first"],
        position_embedding="sinusoidal" if positions == "none" else positions,
        scale_embeddings=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    has_next_sentence = settings["next_sentence"]
    model = BertPretrainer(
        config, has_next_sentence=has_next_sentence, has_pooler=has_next_sentence
    )
    if not settings["has_residual"]:
        variants.take_residuals_away(model.encoder)
    if settings["attention"] != "dot product":
        variants.change_attention(model.encoder, settings["attention"])
    if positions == "none":
        variants.take_positions_away(model.encoder)
    model.build(None)
    variants.set_initial_weights(model, seed=seed)
    return model
