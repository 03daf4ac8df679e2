"""tf-models-official's BERT: tiny models, saved and restored its own ways, and their results."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.core import config_definitions
from official.modeling import hyperparams, tf_utils
from official.nlp import optimization
from official.nlp.configs import bert, encoders
from official.nlp.modeling import models, networks
from official.nlp.tasks import masked_lm

from tests.conversion.our_results import encoder_loss

SIZES = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}
BERT_CONFIG = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.02,
}
CASES = (
    "encoder",
    "encoder_v2",
    "pretrainer",
    "pretrainer_v2",
    "pretrainer_masked_lm",
    "pretrainer_old",
)


def experiment(case: str) -> config_definitions.ExperimentConfig:
    """What the trainer is told, and writes as `params.yaml`."""
    kind = "bert_v2" if case.endswith("_v2") else "bert"
    head = bert.ClsHeadConfig(inner_dim=24, num_classes=2, name="next_sentence")
    model = bert.PretrainerConfig(
        encoder=encoders.EncoderConfig(type=kind),
        cls_heads=[] if case == "pretrainer_masked_lm" else [head],
        # With another activation than the encoder's once.
        mlm_activation="relu" if case == "pretrainer" else "gelu",
    )
    model.encoder.get().override(SIZES)
    return config_definitions.ExperimentConfig(task=masked_lm.MaskedLMConfig(model=model))


def build(case: str, *, seed: int | None = None) -> Any:
    """A model; with `seed` every weight is random, biases and LayerNorms too."""
    if case == "pretrainer_old":
        model = _old_pretrainer()
    else:
        task = masked_lm.MaskedLMTask(experiment(case).task)
        pretrainer = task.build_model()
        ones = tf.ones((1, 4), tf.int32)
        names = ("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions")
        pretrainer(dict.fromkeys(names, ones))
        model = pretrainer if case.startswith("pretrainer") else pretrainer.encoder_network
    if seed is not None:
        rng = np.random.default_rng(seed)
        for weight in model.weights:
            centre = 1.0 if "gamma" in weight.name else 0.0
            weight.assign(rng.normal(centre, 0.3, weight.shape))
    return model


def _old_pretrainer() -> models.BertPretrainer:
    gelu = tf_utils.get_activation("gelu")
    encoder = networks.BertEncoder(
        vocab_size=60,
        hidden_size=24,
        num_layers=2,
        num_attention_heads=3,
        max_sequence_length=20,
        inner_dim=40,
        type_vocab_size=2,
        inner_activation=gelu,
        output_dropout=0.0,
        attention_dropout=0.0,
    )
    return models.BertPretrainer(encoder, num_classes=2, num_token_predictions=3, activation=gelu)


def checkpoint(case: str, model: Any, *, is_trained: bool = True) -> tf.train.Checkpoint:
    """The objects that are saved together: those of the trainer, or the model alone."""
    if case == "encoder":
        return tf.train.Checkpoint(encoder=model)
    if case != "pretrainer":
        return tf.train.Checkpoint(model=model)
    optimizer = optimization.AdamWeightDecay(1e-4)
    if is_trained:  # makes the slots
        weights = model.trainable_weights
        optimizer.apply_gradients([(tf.zeros_like(weight), weight) for weight in weights])
    return tf.train.Checkpoint(
        global_step=tf.Variable(1, dtype=tf.int64),
        model=model,
        optimizer=optimizer,
        **model.checkpoint_items,
    )


def save(case: str, model: Any, folder: Path, *, is_trained: bool = True) -> None:
    """Checkpoint, and the settings as one of the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = checkpoint(case, model, is_trained=is_trained)
    if case == "encoder_v2":
        objects.write(str(folder / "bert_model.ckpt"))
    else:
        objects.save(str(folder / "bert_model.ckpt"))
        (folder / "checkpoint").unlink()  # holds an absolute path
    if case in ("encoder", "pretrainer_v2", "pretrainer_old"):
        (folder / "bert_config.json").write_text(json.dumps(BERT_CONFIG, indent=2) + "\n")
    else:
        hyperparams.save_params_dict_to_yaml(experiment(case), str(folder / "params.yaml"))


def restore(case: str, folder: Path) -> Any:
    """The model with the weights of a folder, restored by TensorFlow."""
    model = build(case)
    (index,) = folder.glob("*.index")
    status = checkpoint(case, model, is_trained=False).read(str(index.with_suffix("")))
    status.assert_existing_objects_matched().expect_partial()
    return model


def results(
    case: str, model: Any, batch: dict[str, np.ndarray]
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Outputs by our names and the loss, in training mode; run it under a gradient tape."""
    inputs = {
        "input_word_ids": batch["input_ids"],
        "input_mask": batch["input_mask"],
        "input_type_ids": batch["segment_ids"],
    }
    if case.startswith("encoder"):
        outputs = model(inputs, training=True)
        kept = {name: outputs[name] for name in ("sequence_output", "pooled_output")}
        return kept, encoder_loss(kept, batch["input_mask"])
    inputs["masked_lm_positions"] = batch["masked_lm_positions"]
    if case == "pretrainer_old":
        outputs = model(list(inputs.values()), training=True)
        outputs = {
            "mlm_logits": outputs["masked_lm"],
            "next_sentence": outputs["classification"],
        }
    else:
        outputs = model(inputs, training=True)
    names = {"mlm_logits": "masked_lm_logits", "next_sentence": "next_sentence_logits"}
    kept = {ours: outputs[theirs] for theirs, ours in names.items() if theirs in outputs}
    labels = {name: batch[name] for name in ("masked_lm_ids", "masked_lm_weights")}
    if "next_sentence" in outputs:
        labels["next_sentence_labels"] = batch["next_sentence_labels"]
    task = masked_lm.MaskedLMTask(experiment("pretrainer").task)
    metrics = [
        tf_keras.metrics.Mean(name=name) for name in ("lm_example_loss", "next_sentence_loss")
    ]
    return kept, task.build_losses(labels, outputs, metrics)


def assign(weights: list[Any], values: list[Any]) -> None:
    """Put gradients where weights were: saved so, they are a checkpoint of gradients."""
    for weight, value in zip(weights, values, strict=True):
        weight.assign(tf.zeros_like(weight) if value is None else tf.convert_to_tensor(value))
