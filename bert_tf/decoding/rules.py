"""Tokens that must not come next, whatever the model says."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from bert_tf.config.decoding import DecodingConfig
from bert_tf.decoding.answers import IMPOSSIBLE
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.decoding.log_probabilities import NextTokens


@dataclass(frozen=True)
class Rules:
    """Forbidden tokens, the shortest length, n-grams that may stand once."""

    tokens: SpecialTokens
    min_length: int
    no_repeat_ngram_size: int

    @classmethod
    def of(cls, config: DecodingConfig, tokens: SpecialTokens) -> "Rules":
        """Those of a configuration."""
        return cls(tokens, config.min_length, config.no_repeat_ngram_size)

    def next_tokens(self, logits: tf.Tensor, ids: tf.Tensor, is_open: tf.Tensor) -> NextTokens:
        """Their logits with -inf where a token must not follow `ids`.

        The others stay as they are: what is left does not sum to 1, and an answer's score is the
        model's.

        Args:
            logits: (B, H, V), of the next token.
            ids: int32 (B, H, T), the tokens so far, without the start token.
            is_open: bool (B, H), hypotheses that are looked at.
        """
        tokens = NextTokens.of(logits, is_open)
        self.tokens.check_vocabulary(logits.shape[-1])
        allowed = self._without_forbidden(tokens.logits, tf.shape(ids)[2])
        if self.no_repeat_ngram_size:
            allowed = without_repeated(allowed, ids, size=self.no_repeat_ngram_size)
        return tokens._replace(logits=allowed)

    def _without_forbidden(self, logits: tf.Tensor, num_tokens: tf.Tensor) -> tf.Tensor:
        if not self.min_length and not self.tokens.forbidden_ids:
            return logits
        is_forbidden = np.zeros(logits.shape[-1], bool)
        is_forbidden[list(self.tokens.forbidden_ids)] = True
        is_end = np.arange(logits.shape[-1]) == self.tokens.end_id
        is_refused = is_forbidden | (is_end & (num_tokens < self.min_length))
        # By a sum: a choice between a number and -inf takes several times as long.
        return logits + tf.where(is_refused, IMPOSSIBLE, 0.0)


def without_repeated(scores: tf.Tensor, ids: tf.Tensor, *, size: int) -> tf.Tensor:
    """Scores (B, H, W), -inf for a token that would make `size` tokens stand in `ids` again.

    The last `size` - 1 tokens are compared with each place before them; after [5, 7, 9, 5] and
    with a size of 2, it is 7 that must not come.
    """
    num_tokens = tf.shape(ids)[2]
    num_places = tf.maximum(num_tokens - size + 1, 0)
    is_repeated = tf.ones(tf.concat([tf.shape(ids)[:2], [num_places]], axis=0), tf.bool)
    for place in range(size - 1):
        place_of_last = tf.maximum(num_tokens - size + 1 + place, 0)
        last = ids[:, :, place_of_last : place_of_last + 1]
        is_repeated &= ids[:, :, place : place + num_places] == last
    followers = ids[:, :, size - 1 :]
    rows = tf.reshape(tf.range(tf.size(scores[..., 0])), tf.shape(scores)[:2])
    rows = tf.broadcast_to(rows[..., tf.newaxis], tf.shape(followers))
    flat = tf.reshape(scores, [-1, scores.shape[-1]])
    highest = tf.where(is_repeated, IMPOSSIBLE, -IMPOSSIBLE)
    flat = tf.tensor_scatter_nd_min(flat, tf.stack([rows, followers], axis=-1), highest)
    return tf.reshape(flat, tf.shape(scores))
