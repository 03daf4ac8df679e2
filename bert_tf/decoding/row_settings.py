"""What each text of a batch may have for itself: it may come from another client than the next."""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from bert_tf.config.decoding import DecodingConfig
from bert_tf.decoding.random_numbers import halves

LEAST_TEMPERATURE = 1e-6
"""Below it the likeliest token is taken: nothing else would be drawn."""


@dataclass(frozen=True)
class RowSettings:
    """Tensors (B); None: as the configuration has it, for all texts."""

    source_lengths: tf.Tensor | None = None
    """int32: tokens of the source. Needed with `max_extra_length`."""
    is_refused: tf.Tensor | None = None
    """bool: the text is not decoded and has no answer."""
    seed: tf.Tensor | None = None
    """int32 or int64."""
    temperature: tf.Tensor | None = None
    """float32, above 0."""
    top_k: tf.Tensor | None = None
    """int32, from 1; 0: all tokens."""
    top_p: tf.Tensor | None = None
    """float32, above 0, to 1."""

    def faults(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """What is wrong with a text's settings: whether, bool (B), and a sentence, string (B).

        A search takes such a text as refused; the sentences are for its status.
        """
        found = []
        for name, is_right, needed in self._checked():
            value = tf.strings.as_string(getattr(self, name))
            sentence = tf.strings.join([f"{name} must be {needed}. Received: ", value, "."])
            found.append((~is_right, sentence))
        return found

    def is_wrong(self) -> tf.Tensor | None:
        """bool (B): there is a fault; None: of no text."""
        faults = [~is_right for _, is_right, _ in self._checked()]
        return tf.reduce_any(tf.stack(faults), axis=0) if faults else None

    def _checked(self) -> list[tuple[str, tf.Tensor, str]]:
        checked = []
        if self.temperature is not None:
            is_right = (self.temperature > 0.0) & tf.math.is_finite(self.temperature)
            checked.append(("temperature", is_right, "above 0 (top_k=1: the likeliest token)"))
        if self.top_k is not None:
            checked.append(("top_k", self.top_k >= 0, "1 or above, or 0 for all tokens"))
        if self.top_p is not None:
            is_right = (self.top_p > 0.0) & (self.top_p <= 1.0)
            checked.append(("top_p", is_right, "above 0 and at most 1"))
        return checked


class Rows(NamedTuple):
    """What a search reads of each text: tensors (B), without gaps and in their ranges."""

    is_open: tf.Tensor
    """bool: the text is decoded."""
    max_lengths: tf.Tensor
    """int32: tokens of its longest answer, with the end token; 0 where it is not decoded."""
    seeds: tf.Tensor
    """uint32 (B, 2)."""
    temperature: tf.Tensor
    """float32; 0: the likeliest token."""
    top_k: tf.Tensor
    """int32, from 1."""
    top_p: tf.Tensor


def fill_in(settings: RowSettings, *, config: DecodingConfig, batch_size: tf.Tensor) -> Rows:
    """The settings of each text, those of the configuration in the gaps.

    Raises:
        ValueError: settings that the configuration does not use, or lengths that it needs.
    """
    _check(settings, config)
    is_open = tf.ones([batch_size], tf.bool)
    for is_bad in (settings.is_refused, settings.is_wrong()):
        if is_bad is not None:
            is_open &= ~is_bad

    def filled(value: tf.Tensor | None, default: float, dtype: tf.DType) -> tf.Tensor:
        default = tf.constant(default, dtype)
        if value is None:
            return tf.fill([batch_size], default)
        return tf.where(is_open, tf.cast(value, dtype), default)

    max_lengths = filled(None, config.max_length, tf.int32)
    if config.max_extra_length is not None:
        of_source = config.max_length_factor * tf.cast(settings.source_lengths, tf.float32)
        # Compared before the cast: a product may be more than int32 holds.
        of_source = tf.minimum(of_source + config.max_extra_length, config.max_length)
        max_lengths = tf.cast(tf.maximum(of_source, 0.0), tf.int32)
    is_open &= max_lengths > 0
    top_k = filled(settings.top_k, config.top_k or 0, tf.int32)
    temperature = filled(settings.temperature, config.temperature, tf.float32)
    return Rows(
        is_open=is_open,
        max_lengths=tf.where(is_open, max_lengths, 0),
        seeds=halves(filled(settings.seed, config.seed, tf.int64)),
        temperature=tf.where(temperature < LEAST_TEMPERATURE, 0.0, temperature),
        top_k=tf.where(top_k == 0, tf.int32.max, top_k),
        top_p=filled(settings.top_p, config.top_p, tf.float32),
    )


def _check(settings: RowSettings, config: DecodingConfig) -> None:
    names = ("seed", "temperature", "top_k", "top_p")
    given = [name for name in names if getattr(settings, name) is not None]
    if given and config.method != "sample":
        raise ValueError(
            f"{', '.join(given)} of each text need method=sample. Received: method="
            f"{config.method}. Set method=sample, or leave them out."
        )
    if config.max_extra_length is not None and settings.source_lengths is None:
        raise ValueError(
            "source_lengths must be given with max_extra_length, which is added to them. "
            "Received: none. Give the number of tokens of each source."
        )
