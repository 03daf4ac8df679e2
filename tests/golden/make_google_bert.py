"""Writes tests/golden/google_bert: tiny random checkpoints and what Google's own code computes.

    pip download --no-deps bert-tensorflow==1.0.4
    PYTHONPATH=bert_tensorflow-1.0.4-py2.py3-none-any.whl python -m tests.golden.make_google_bert

Model, all three heads, tokenizer and optimizer are those of google-research/bert, as that wheel has
them, run as a TF1 graph on a CPU with TensorFlow 2.20.0. Three things stand in for what is gone
from TensorFlow: `tf_slim.layers.layer_norm` for `tf.contrib.layers.layer_norm` (the same
function), tf_keras behind `tf.layers.dense`, and shapes whose sizes have `.value`. The losses of
the classifier and of the pretraining heads are theirs; that of `run_squad.py` is inside its
`model_fn` and is written here from it.

Each folder is what Google publishes or saves: checkpoint, `bert_config.json`, `vocab.txt`.
`expected.npz` holds outputs, loss, every gradient by the variable's name, and token ids of
`sentences.json`. Dropout is 0; the classifier is not in training mode, as `run_classifier.py` then
has a dropout of 0.1 in its code. `batch.npz` has the inputs and labels of all.
"""

import importlib
import json
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim

DIRECTORY = Path(__file__).with_name("google_bert")
CONFIG = {
    "vocab_size": 60,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
}
NUM_CLASSES = 3
SENTENCES = (
    "The cats ran, and the cat ran home!",
    "THE CAFÉ (café) is résumé… 고양이 cat",
    "cats\u200bran 猫cat\u00a0home",
    "a" * 100 + " " + "a" * 200 + " " + "a" * 201,
    "",
)
UNCASED = (
    "[PAD] [unused0] [unused1] [UNK] [CLS] [SEP] [MASK] the cat ##s ran home a ##a ##aa ##n ##d an "
    "cafe ( ) , . ! ? 猫 resume is \u1100 ##\u1169 ##\u110b ##\u1163 ##\u11bc ##\u1175"
)
CASED = (
    "[PAD] [unused0] [unused1] [UNK] [CLS] [SEP] [MASK] The the cat ##s ran home a ##a ##aa ##n "
    "##d THE café CA ##F ##É ( ) , . ! ? 猫 résumé is 고양 ##이 an"
)


def main() -> None:
    """Write everything anew."""
    tf.disable_v2_tensorshape()
    google = import_google()
    DIRECTORY.mkdir(exist_ok=True)
    batch = random_batch(seed=0)
    np.savez_compressed(DIRECTORY / "batch.npz", **batch)
    text = json.dumps(SENTENCES, ensure_ascii=False, indent=2) + "\n"
    (DIRECTORY / "sentences.json").write_text(text, encoding="utf-8")
    for seed, (name, build, tokens) in enumerate(
        (
            ("pretraining", build_pretraining, UNCASED),
            ("classifier", build_classifier, CASED),
            ("squad", build_squad, None),
        )
    ):
        folder = DIRECTORY / name
        folder.mkdir(exist_ok=True)
        (folder / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
        results = run(google, build, batch, folder / "bert_model.ckpt", seed=seed)
        if tokens is not None:
            known = tokens.split()
            filled = [*known, *(f"[unused{n}]" for n in range(2, 62 - len(known)))]
            (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in filled))
            tokenizer = google.tokenization.FullTokenizer(
                str(folder / "vocab.txt"), do_lower_case=tokens is UNCASED
            )
            for number, sentence in enumerate(SENTENCES):
                ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(sentence))
                results[f"ids/{number}"] = np.array(ids, np.int32)
        np.savez_compressed(folder / "expected.npz", **results)


def import_google() -> types.SimpleNamespace:
    """The wheel's modules. The programs define the same flags, so theirs are taken away again."""
    contrib: Any = types.ModuleType("tensorflow.contrib")
    contrib.layers = types.SimpleNamespace(layer_norm=tf_slim.layers.layer_norm)
    sys.modules["tensorflow.contrib"] = contrib
    modules = {}
    for name in (
        "modeling",
        "tokenization",
        "optimization",
        "run_pretraining",
        "run_classifier",
        "run_squad",
    ):
        flags_before = set(tf.flags.FLAGS)
        modules[name] = importlib.import_module(f"bert.{name}")
        if name.startswith("run_"):
            for flag in set(tf.flags.FLAGS) - flags_before:
                delattr(tf.flags.FLAGS, flag)
    tf.flags.FLAGS.mark_as_parsed()
    return types.SimpleNamespace(**modules)


def random_batch(*, seed: int, batch: int = 4, length: int = 11) -> dict[str, np.ndarray]:
    """Inputs and labels in our names; every second row ends in padding, one prediction in none."""
    rng = np.random.default_rng(seed)
    input_mask = np.ones((batch, length), np.int32)
    input_mask[::2, -3:] = 0
    positions = np.stack([rng.choice(length - 3, 3, replace=False) for _ in range(batch)])
    masked_lm_weights = np.ones((batch, 3), np.float32)
    masked_lm_weights[1, 2] = 0.0
    return {
        "input_ids": rng.integers(0, CONFIG["vocab_size"], (batch, length), np.int32),
        "input_mask": input_mask,
        "segment_ids": rng.integers(0, 2, (batch, length), np.int32),
        "masked_lm_positions": np.sort(positions, axis=1).astype(np.int32),
        "masked_lm_ids": rng.integers(0, CONFIG["vocab_size"], (batch, 3), np.int32),
        "masked_lm_weights": masked_lm_weights,
        "next_sentence_labels": rng.integers(0, 2, batch, np.int32),
        "labels": rng.integers(0, NUM_CLASSES, batch, np.int32),
        "starts": rng.integers(0, length, batch, np.int32),
        "ends": rng.integers(0, length, batch, np.int32),
    }


def run(
    google: types.SimpleNamespace,
    build: Callable[..., tuple[Any, dict[str, Any]]],
    batch: dict[str, np.ndarray],
    prefix: Path,
    *,
    seed: int,
) -> dict[str, np.ndarray]:
    """Save a checkpoint of random weights; return what the graph computes with them."""
    rng = np.random.default_rng(seed)
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = {name: tf.constant(value) for name, value in batch.items()}
        loss, outputs = build(google, google.modeling.BertConfig.from_dict(CONFIG), inputs)
        variables = tf.trainable_variables()
        gradients = tf.gradients(loss, variables)
        if build is build_pretraining:  # with Adam's slots and the step, as training saves it
            google.optimization.create_optimizer(loss, 1e-4, 10, 1, use_tpu=False)
        session.run(tf.global_variables_initializer())
        for variable in variables:
            centre = 1.0 if variable.op.name.endswith("gamma") else 0.0
            variable.load(rng.normal(centre, 0.3, variable.shape.as_list()), session)
        tf.train.Saver().save(session, str(prefix), write_meta_graph=False, write_state=False)
        fetched = {"loss": loss} | {f"output/{name}": value for name, value in outputs.items()}
        for variable, gradient in zip(variables, gradients, strict=True):
            used = tf.zeros_like(variable) if gradient is None else tf.convert_to_tensor(gradient)
            fetched[f"gradient/{variable.op.name}"] = used
        return session.run(fetched)


def build_pretraining(
    google: types.SimpleNamespace, config: Any, batch: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """As the `model_fn` of run_pretraining.py, in training mode."""
    model = google.modeling.BertModel(
        config, True, batch["input_ids"], batch["input_mask"], batch["segment_ids"]
    )
    masked_lm_loss, _, masked_lm_log_probs = google.run_pretraining.get_masked_lm_output(
        config,
        model.get_sequence_output(),
        model.get_embedding_table(),
        batch["masked_lm_positions"],
        batch["masked_lm_ids"],
        batch["masked_lm_weights"],
    )
    next_loss, _, next_log_probs = google.run_pretraining.get_next_sentence_output(
        config, model.get_pooled_output(), batch["next_sentence_labels"]
    )
    return masked_lm_loss + next_loss, {
        "sequence_output": model.get_sequence_output(),
        "pooled_output": model.get_pooled_output(),
        "masked_lm_log_probs": masked_lm_log_probs,
        "next_sentence_log_probs": next_log_probs,
    }


def build_classifier(
    google: types.SimpleNamespace, config: Any, batch: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The classifier of run_classifier.py."""
    loss, _, logits, _ = google.run_classifier.create_model(
        config,
        False,
        batch["input_ids"],
        batch["input_mask"],
        batch["segment_ids"],
        batch["labels"],
        NUM_CLASSES,
        False,
    )
    return loss, {"logits": logits}


def build_squad(
    google: types.SimpleNamespace, config: Any, batch: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The model of run_squad.py, in training mode, with the loss of its `model_fn`."""
    start_logits, end_logits = google.run_squad.create_model(
        config, True, batch["input_ids"], batch["input_mask"], batch["segment_ids"], False
    )
    losses = [
        tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=at, logits=logits))
        for at, logits in ((batch["starts"], start_logits), (batch["ends"], end_logits))
    ]
    return sum(losses) / 2, {"start_logits": start_logits, "end_logits": end_logits}


if __name__ == "__main__":
    main()
