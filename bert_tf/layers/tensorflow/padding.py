"""Takes padding out of a batch: what is computed token by token need not be computed for it.

    (batch, length, width) --tokens_only--> (tokens, width) --padded--> (batch, length, width)
    (tokens, parts * width) --heads--> (batch, heads, length, size) --of_heads--> (tokens, width)

Dense layers and LayerNorm take most of an encoder's time and see one token at a time; attention
alone needs rows. Source of the idea: ByteTransformer (Zhai et al. 2023).
"""

from typing import NamedTuple, Self

import tensorflow as tf

TOKENS_MULTIPLE = 16
"""The number of tokens is rounded up to it: kernels are made and kept for each shape."""


class TokenLayout(NamedTuple):
    """Where the tokens of a padded batch stand, in it and without padding."""

    mask: tf.Tensor
    """(batch, length) bool, True at tokens."""
    positions: tf.Tensor
    """(tokens,) int32: place of each token in batch * length; what rounds up repeats place 0."""
    rows: tf.Tensor
    """(batch * length,) int32: of each place, its token; at padding that of some token."""

    @classmethod
    def of(cls, input_mask: tf.Tensor) -> Self:
        """Of a mask (batch, length), 1 at tokens, wherever they stand."""
        mask = tf.cast(input_mask, tf.bool)
        flat = tf.reshape(mask, [-1])
        positions = tf.cast(tf.where(flat)[:, 0], tf.int32)
        number = tf.shape(positions)[0]
        # At least one: a batch of nothing but padding has a token, too. One of no row has none.
        missing = -tf.maximum(number, 1) % TOKENS_MULTIPLE + tf.cast(tf.equal(number, 0), tf.int32)
        missing = tf.where(tf.equal(tf.size(flat), 0), 0, missing)
        rows = tf.maximum(tf.cumsum(tf.cast(flat, tf.int32)) - 1, 0)
        return cls(mask, tf.pad(positions, [[0, missing]]), rows)

    def tokens_only(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, length, width) -> (tokens, width)."""
        return tf.gather(tf.reshape(x, [-1, x.shape[-1]]), self.positions)

    def heads(self, x: tf.Tensor, *, parts: int, num_heads: int) -> list[tf.Tensor]:
        """(tokens, parts * width) -> `parts` times (batch, heads, length, size).

        One lookup of pieces of rows: to pad and then to exchange axes moves all of it twice.
        """
        size = x.shape[-1] // (parts * num_heads)
        pieces = tf.reshape(tf.range(parts * num_heads), [parts, 1, num_heads, 1])
        rows = tf.reshape(self.rows, tf.shape(self.mask))
        # (batch, 1, length) and (parts, 1, heads, 1) -> (parts, batch, heads, length)
        places = rows[:, tf.newaxis] * (parts * num_heads) + pieces
        found = tf.gather(tf.reshape(x, [-1, size]), places)
        # Along the first axis: a part is a piece of memory, and nothing is copied.
        return [tf.squeeze(part, 0) for part in tf.split(found, parts, axis=0)]

    def of_heads(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, heads, length, size) -> (tokens, heads * size)."""
        num_heads, size = x.shape[1], x.shape[3]
        length = tf.shape(self.mask)[1]
        row, place = self.positions // length, self.positions % length
        first = row * (num_heads * length) + place
        places = first[:, tf.newaxis] + tf.range(num_heads) * length
        return tf.reshape(tf.gather(tf.reshape(x, [-1, size]), places), [-1, num_heads * size])

    def padded(self, x: tf.Tensor) -> tf.Tensor:
        """(tokens, width) -> (batch, length, width); padding holds the values of some token."""
        places = tf.gather(x, self.rows)
        shape = tf.shape(self.mask)
        return tf.reshape(places, [shape[0], shape[1], x.shape[-1]])

    def padded_with_zeros(self, x: tf.Tensor) -> tf.Tensor:
        """(tokens, width) -> (batch, length, width), zeros at padding."""
        padded = self.padded(x)
        return tf.where(self.mask[..., tf.newaxis], padded, tf.zeros([], padded.dtype))
