"""Takes padding out of a batch: what is computed token by token need not be computed for it.

    (batch, length, width) --tokens_only--> (tokens, width) --padded--> (batch, length, width)
    (tokens, parts * width) --heads--> (batch, heads, length, size) --of_heads--> (tokens, width)

Dense layers and LayerNorm take most of an encoder's time and see one token at a time; attention
alone needs rows. Source of the idea: ByteTransformer (Zhai et al. 2023). Where first tokens alone
are read, the last layer's other tokens are keys and values and nothing else.
"""

from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

SIZES = np.array(
    [0, *range(16, 128, 16), *(step << power for power in range(4, 28) for step in range(8, 16))],
    np.int32,
)
"""Numbers of tokens are rounded up to these, 16, 32, ... 256, 288, ... 512, 576, ...: at most an
eighth more. Few, since kernels are made and kept for each shape, and for each product anew."""


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
        # At least one: a batch of nothing but padding has a token, too. One of no row has none.
        least = tf.minimum(tf.size(flat), 1)
        rows = tf.maximum(tf.cumsum(tf.cast(flat, tf.int32)) - 1, 0)
        return cls(mask, _filled_up(positions, least=least), rows)

    def asked(self, x: tf.Tensor) -> tf.Tensor:
        """The tokens, of (tokens, width), that `of_heads` gives: all of them."""
        return x

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


class FirstTokenLayout(NamedTuple):
    """A layout for the last layer where each row's first token alone is read.

    `heads` are those of all tokens but for the query; from there on a row is one token, and the
    number of rows is rounded up, too.
    """

    tokens: TokenLayout
    numbers: tf.Tensor
    """(rows,) int32: the number of each row in the batch; what rounds up repeats row 0."""

    @classmethod
    def of(cls, tokens: TokenLayout) -> Self:
        """Of the layout that the layer's input has."""
        return cls(tokens, _filled_up(tf.range(tf.shape(tokens.mask)[0]), least=0))

    def asked(self, x: tf.Tensor) -> tf.Tensor:
        """(tokens, width) -> (rows, width)."""
        places = self.numbers * tf.shape(self.tokens.mask)[1]
        return tf.gather(x, tf.gather(self.tokens.rows, places))

    def heads(self, x: tf.Tensor, *, parts: int, num_heads: int) -> list[tf.Tensor]:
        """As of all tokens, but the first part is (batch, heads, 1, size)."""
        query, *others = self.tokens.heads(x, parts=parts, num_heads=num_heads)
        return [query[:, :, :1], *others]

    def of_heads(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, heads, 1, size) -> (rows, heads * size)."""
        return tf.gather(tf.reshape(x, [-1, x.shape[1] * x.shape[3]]), self.numbers)

    def padded_with_zeros(self, x: tf.Tensor) -> tf.Tensor:
        """(rows, width) -> (batch, 1, width), zeros where a row has no first token."""
        mask = self.tokens.mask[:, :1]
        first = x[: tf.shape(mask)[0], tf.newaxis]
        return tf.where(mask[..., tf.newaxis], first, tf.zeros([], x.dtype))


def _filled_up(numbers: tf.Tensor, *, least: int | tf.Tensor) -> tf.Tensor:
    """int32, with zeros up to the next of `SIZES`; that of `least` if there are fewer."""
    number = tf.shape(numbers)[0]
    size = tf.gather(SIZES, tf.searchsorted(SIZES, tf.maximum(number, least)[tf.newaxis]))[0]
    return tf.pad(numbers, [[0, size - number]])
