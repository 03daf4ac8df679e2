"""Places in texts in, the parts of the texts that stand there out, in the graph."""

import tensorflow as tf


def parts_of_texts(texts: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """string (B, E): the parts of valid UTF-8 texts, string (B); starts and ends int32 (B, E).

    Code points, half-open; where start and end are the same, an empty text.
    """
    spread = tf.broadcast_to(texts[:, tf.newaxis], tf.shape(starts))
    # `substr` refuses a start behind the end: an empty text has no part, and 0 is such a start.
    found = tf.strings.substr(
        tf.strings.join([spread, " "]), starts, ends - starts, unit="UTF8_CHAR"
    )
    return tf.where(starts < ends, found, "")
