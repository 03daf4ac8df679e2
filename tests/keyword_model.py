"""A classifier that looks for a word: a SavedModel that is made in no time."""

from pathlib import Path

import tensorflow as tf


def save_keyword(path: Path, word: str) -> Path:
    """Write a model that says `good` of a text with `word` in it."""
    module = Keyword(word)
    signatures = {"serving_default": module.classify, "tokenize": module.tokenize}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


class Keyword(tf.Module):
    """A classifier that says `good` of a text with `word` in it; it knows no numbers."""

    def __init__(self, word: str) -> None:
        self.pattern = f".*{word}.*"

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        is_good = tf.cast(tf.strings.regex_full_match(text, self.pattern), tf.float32)
        probabilities = 0.1 + 0.8 * tf.stack([1 - is_good, is_good], axis=1)
        names = tf.constant(["bad", "good"])
        return {
            "label": tf.gather(names, tf.argmax(probabilities, axis=1)),
            "score": tf.reduce_max(probabilities, axis=1),
            "probabilities": probabilities,
            "labels": tf.repeat(names[tf.newaxis], tf.size(text), axis=0),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def tokenize(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        words = tf.strings.split(tf.strings.regex_replace(text, r"\d+", "[UNK]"))
        rows = words.to_tensor("[PAD]")
        ends = tf.repeat([["[CLS]", "[SEP]"]], tf.size(text), axis=0)
        tokens = tf.concat([ends, rows], axis=1)
        return {"tokens": tokens, "input_mask": tf.cast(tokens != "[PAD]", tf.int32)}
