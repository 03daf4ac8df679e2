"""A small decoder that reads all of its history from its cache, in TensorFlow and in NumPy."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import DecodingConfig
from bert_tf.decoding.answers import DecodedAnswers
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.decoding.row_settings import RowSettings
from bert_tf.decoding.search import search

START, END, PAD = 1, 0, 1
TOKENS = SpecialTokens(start_id=START, end_id=END, pad_id=PAD)
INPUT = 4
"""Numbers of each text."""

ROWS = {
    "source_lengths": tf.int32,
    "is_refused": tf.bool,
    "seed": tf.int64,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
}
"""Types of a text's own settings."""


class HistoryModel:
    """Logits are a sum over all tokens before, of which each has its own weights by its age.

    `inputs` is float32 (B, INPUT). All numbers are multiples of 1/64, so that sums are exact in any
    order: the logits of a text are the same bits in every batch.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        max_length: int,
        seed: int,
        scale: float = 1.5,
        end_bias: float = 0.0,
    ) -> None:
        numbers = np.random.default_rng(seed)

        def draw(*shape: int) -> np.ndarray:
            return _in_steps(numbers.normal(scale=scale, size=shape))

        self.by_age = draw(max_length, vocab_size, vocab_size)
        """Logits that a token adds, by how long ago it was."""
        self.by_position = draw(max_length, vocab_size)
        self.by_position[:, END] += end_bias
        self.by_input = draw(INPUT, vocab_size)

    def begin(self, inputs: tf.Tensor) -> tuple[Any, Any]:
        memory = {"inputs": inputs}
        num_texts = tf.shape(inputs)[0]
        width = self.by_age.shape[1]
        # Two tensors, one of whole numbers: a cache is a nest of any types.
        return memory, {
            "places": tf.zeros([num_texts, 1, 0], tf.int32),
            "tokens": tf.zeros([num_texts, 1, 0, width]),
        }

    def step(
        self, ids: tf.Tensor, position: tf.Tensor, memory: Any, cache: Any
    ) -> tuple[tf.Tensor, Any]:
        width = self.by_age.shape[1]
        token = tf.one_hot(ids, width)[:, :, tf.newaxis]
        place = tf.fill(tf.shape(ids), position)[:, :, tf.newaxis]
        cache = {
            "places": tf.concat([cache["places"], place], axis=2),
            "tokens": tf.concat([cache["tokens"], token], axis=2),
        }
        by_age = tf.gather(tf.constant(self.by_age), position - cache["places"])  # (B, H, T, V, V)
        of_history = tf.reduce_sum(cache["tokens"][..., tf.newaxis] * by_age, axis=[2, 3])
        of_text = tf.reduce_sum(
            memory["inputs"][:, tf.newaxis, :, tf.newaxis] * tf.constant(self.by_input), axis=2
        )
        return of_history + of_text + tf.gather(tf.constant(self.by_position), position), cache

    def log_probs(self, text: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
        """float64 (V) of the token after `ids`, by NumPy: the full pass, without a cache."""
        history = (START, *ids)
        logits = self.by_position[len(ids)] + text.astype(np.float64) @ self.by_input
        for place, token in enumerate(history):
            logits = logits + self.by_age[len(ids) - place, token]
        return logits - np.log(np.sum(np.exp(logits - logits.max()))) - logits.max()


@dataclass(frozen=True)
class Expected:
    """An answer of a text."""

    ids: tuple[int, ...]
    log_prob: float
    score: float
    has_ended: bool


def every_answer(
    model: HistoryModel,
    text: np.ndarray,
    config: DecodingConfig,
    *,
    forbidden: tuple[int, ...] = (),
) -> list[Expected]:
    """All that a text can be answered, best first, one by one."""
    found: list[Expected] = []

    def add(ids: tuple[int, ...], total: float, has_ended: bool) -> None:
        penalty = ((5 + len(ids) + has_ended) / 6) ** config.length_penalty
        found.append(Expected(ids, total, total / penalty, has_ended))

    def grow(ids: tuple[int, ...], total: float) -> None:
        if len(ids) == config.max_length:
            add(ids, total, False)
            return
        log_probs = model.log_probs(text, ids)
        if len(ids) >= config.min_length:
            add(ids, total + float(log_probs[END]), True)
        for token in range(len(log_probs)):
            longer = (*ids, token)
            if token != END and token not in forbidden and not repeats(longer, config):
                grow(longer, total + float(log_probs[token]))

    grow((), 0.0)
    return sorted(found, key=lambda answer: (not answer.has_ended, -answer.score))


def repeats(ids: tuple[int, ...], config: DecodingConfig) -> bool:
    """A sequence of `no_repeat_ngram_size` tokens stands twice in it."""
    size = config.no_repeat_ngram_size
    grams = [ids[place : place + size] for place in range(len(ids) - size + 1)]
    return size > 0 and len(set(grams)) < len(grams)


def draw_inputs(num_texts: int, *, seed: int) -> np.ndarray:
    """float32 (num_texts, INPUT)."""
    return _in_steps(np.random.default_rng(seed).normal(size=(num_texts, INPUT)))


def _in_steps(values: np.ndarray) -> np.ndarray:
    return (np.round(values * 64) / 64).astype(np.float32)


def decode(
    model: Any, inputs: Any, config: DecodingConfig, *, in_graph: bool = False, **rows: Any
) -> DecodedAnswers:
    """The answers as NumPy arrays; from a graph that is traced for any number of texts, or not."""
    names = tuple(sorted(rows))
    values = [tf.constant(rows[name], ROWS[name]) for name in names]
    run = _graph(model, config, names) if in_graph else _run(model, config, names)
    return DecodedAnswers(*(value.numpy() for value in run(tf.constant(inputs), *values)))


def _run(model: Any, config: DecodingConfig, names: tuple[str, ...]) -> Any:
    def run(inputs: tf.Tensor, *values: tf.Tensor) -> DecodedAnswers:
        rows = RowSettings(**dict(zip(names, values, strict=True)))
        return search(model, inputs, config=config, tokens=TOKENS, rows=rows)

    return run


@functools.lru_cache(maxsize=4)
def _graph(model: Any, config: DecodingConfig, names: tuple[str, ...]) -> Any:
    signature = [
        tf.TensorSpec([None, INPUT]),
        *(tf.TensorSpec([None], ROWS[name]) for name in names),
    ]
    return tf.function(_run(model, config, names), input_signature=signature)


def found_ids(answers: DecodedAnswers, row: int) -> list[tuple[int, ...]]:
    """Of a text's answers that there are, without what fills them up."""
    return [
        tuple(answers.ids[row, answer, : answers.lengths[row, answer]].tolist())
        for answer in range(answers.ids.shape[1])
        if answers.is_found[row, answer]
    ]


def subsets(num_texts: int) -> Iterator[list[int]]:
    """Each text alone, pairs in both orders, all reversed."""
    yield from ([row] for row in range(num_texts))
    yield from (list(pair) for pair in itertools.permutations(range(num_texts), 2))
    yield list(reversed(range(num_texts)))
