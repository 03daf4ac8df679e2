"""A model and its inputs in, the texts that a search finds out, in the graph.

search_texts -> token ids and scores -> answers_of_search -> with_texts -> texts and scores
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from bert_tf.config import DecodingConfig
from bert_tf.data.text.sentences import replace_invalid_utf8
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.decoding.row_settings import RowSettings
from bert_tf.decoding.search import search
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.tasks.row_settings import RowSetting

if TYPE_CHECKING:
    import keras

GENERATED, SCORE = "generated_text", "score"
N_BEST = ("n_best_texts", "n_best_scores", "n_best_log_probabilities", "n_best_lengths")
_NO_NUMBERS = "The model's scores of tokens must be numbers. Received: others, for this text."


SAMPLED: Mapping[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "seed": ((1, -1, 2**63 - 1), ()),
    "temperature": ((0.5, 1.0, 1e-8), (0.0, -1.0, math.nan, math.inf)),
    "top_k": ((0, 1, 3, 200), (-1, -(2**31))),
    "top_p": ((0.9, 1.0, 0.1), (0.0, 1.5, -0.5, math.nan)),
}
"""What a request may set for each of its texts where a search samples: right and wrong values."""


def sampled_settings(decoding: DecodingConfig) -> dict[str, RowSetting]:
    """`SAMPLED` with the values of a configuration; nothing where it does not sample."""
    if decoding.method != "sample":
        return {}
    values: dict[str, np.generic] = {
        "seed": np.int64(decoding.seed),
        "temperature": np.float32(decoding.temperature),
        "top_k": np.int32(decoding.top_k or 0),
        "top_p": np.float32(decoding.top_p),
    }
    return {name: RowSetting(value, *SAMPLED[name]) for name, value in values.items()}


def search_texts(
    model: "keras.Model",
    inputs: Mapping[str, tf.Tensor],
    *,
    decoding: DecodingConfig,
    tokenizer: Tokenizer,
) -> dict[str, tf.Tensor]:
    """`token_ids`, int32 (batch, tokens, answers), and beside them the other fields of
    `decoding.answers.DecodedAnswers`, (batch, answers). No answer has an unknown token.

    `inputs`: the encoder's, and what a request sets for each text (`sampled_settings`), if any.
    """
    own = {name: inputs[name] for name in SAMPLED if name in inputs}
    special = {*tokenizer.special_ids, tokenizer.unk_id} - {tokenizer.end_id}
    tokens = SpecialTokens(
        tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id, tuple(sorted(special))
    )
    found = search(
        model,
        {name: inputs[name] for name in ENCODER_INPUTS},
        config=decoding,
        tokens=tokens,
        rows=RowSettings(source_lengths=tf.reduce_sum(inputs["input_mask"], axis=1), **own),
    )._asdict()
    token_ids = tf.transpose(found.pop("ids"), [0, 2, 1])
    return {"token_ids": tf.ensure_shape(token_ids, [None, None, decoding.num_answers]), **found}


def answers_of_search(found: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Scores of the answers, best first, 0 where there is none; token ids in the place of texts."""
    is_found = found["is_found"]
    texts, n_best_scores, log_probabilities, lengths = N_BEST
    scores = tf.where(is_found, found["scores"], 0.0)
    return {
        texts: found["token_ids"],
        n_best_scores: scores,
        log_probabilities: tf.where(is_found, found["log_probs"], 0.0),
        lengths: found["lengths"],
        SCORE: scores[:, 0],
        "has_ended": found["has_ended"][:, 0],
        "num_answers": tf.reduce_sum(tf.cast(is_found, tf.int32), axis=1),
        "status": tf.where(found["has_failed"], _NO_NUMBERS, "OK"),
    }


def with_texts(answers: Mapping[str, tf.Tensor], *, tokenizer: Tokenizer) -> dict[str, tf.Tensor]:
    """The answers with texts, string (batch, answers), and `generated_text`, the first of each."""
    texts, *_, lengths = N_BEST
    ids = tf.transpose(answers[texts], [0, 2, 1])  # (batch, answers, tokens)
    shape = tf.shape(ids)
    ragged = tf.RaggedTensor.from_tensor(
        tf.reshape(ids, [shape[0] * shape[1], shape[2]]),
        lengths=tf.reshape(tf.cast(answers[lengths], tf.int64), [-1]),
    )
    found = tf.reshape(replace_invalid_utf8(tokenizer.detokenize(ragged)), shape[:2])
    found = tf.ensure_shape(found, answers[lengths].shape)
    return {**answers, texts: found, GENERATED: found[:, 0]}
