"""The loop over a decoder's steps, which texts leave when they are done.

Every text ends by itself. Those that have ended are computed with the others until they are half of
the texts; then the others go on alone. So a long answer does not keep the decoder busy with all
short ones of its batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf.decoding.cache import repeated
from bert_tf.decoding.row_settings import Rows


class State(NamedTuple):
    """What a search knows after some steps."""

    position: tf.Tensor
    """int32 scalar: of the newest tokens."""
    newest: tf.Tensor
    """int32 (B, H)."""
    is_open: tf.Tensor
    """bool (B): the text is not done."""
    found: Any
    """A nest of tensors (B, ...); those of three dimensions, (B, H, T), grow by a token a step."""
    cache: Any
    """The decoder's."""


class _Loop(NamedTuple):
    """Of the texts that are left: what changes, and what else is read of them."""

    state: State
    rows: Rows
    memory: Any
    places: tf.Tensor
    """int32 (B): in the whole batch."""


Step = Callable[[State, Any, Rows], State]
"""The state one token later, of texts with this memory and these settings."""


def begin(rows: Rows, cache: Any, found: Any, *, start_id: int, num_hypotheses: int) -> State:
    """Before the first step, from the decoder's empty cache."""
    num_texts = tf.shape(rows.is_open)[0]
    return State(
        position=tf.constant(0),
        newest=tf.fill([num_texts, num_hypotheses], start_id),
        is_open=rows.is_open,
        found=found,
        cache=repeated(cache, times=num_hypotheses),
    )


def run(start: State, step: Step, *, memory: Any, rows: Rows, max_length: int) -> Any:
    """`found` of all texts, after the last of them is done, or after `max_length` steps."""
    memory = tf.nest.map_structure(tf.convert_to_tensor, memory)
    loop = _Loop(start, rows, memory, tf.range(tf.shape(start.is_open)[0]))

    def body(loop: _Loop, all_found: Any) -> tuple[_Loop, Any]:
        loop = loop._replace(state=step(loop.state, loop.memory, loop.rows))
        is_open = loop.state.is_open
        num_open = tf.reduce_sum(tf.cast(is_open, tf.int32))
        return tf.cond(
            (num_open > 0) & (2 * num_open <= tf.size(is_open)),
            lambda: (_only_open(loop), _written(all_found, loop)),
            lambda: (loop, all_found),
        )

    loop, all_found = tf.while_loop(
        lambda loop, _: tf.reduce_any(loop.state.is_open),
        body,
        (loop, start.found),
        shape_invariants=(_shapes(loop), _growing(start.found)),
        maximum_iterations=max_length,
    )
    return _written(all_found, loop)


def _only_open(loop: _Loop) -> _Loop:
    """The texts that are not done."""
    places = tf.where(loop.state.is_open)[:, 0]

    def taken(value: tf.Tensor) -> tf.Tensor:
        return tf.gather(value, places) if value.shape.rank else value

    return tf.nest.map_structure(taken, loop)


def _written(all_found: Any, loop: _Loop) -> Any:
    """What was found of the texts in the loop, at their places in the whole batch."""
    num_texts, num_left = tf.shape(tf.nest.flatten(all_found)[0])[0], tf.size(loop.places)
    # Where each text's row is when those of the loop stand behind all.
    rows = tf.tensor_scatter_nd_update(
        tf.range(num_texts), loop.places[:, tf.newaxis], num_texts + tf.range(num_left)
    )

    def written(whole: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        if part.shape.rank == 3:
            missing = tf.shape(part)[2] - tf.shape(whole)[2]
            whole = tf.pad(whole, [[0, 0], [0, 0], [0, missing]])
        return tf.gather(tf.concat([whole, part], axis=0), rows)

    return tf.nest.map_structure(written, all_found, loop.state.found)


def _shapes(loop: _Loop) -> Any:
    """Through all steps: the texts become fewer; cache and ids grow along their third dimension."""
    state = loop.state
    fewer = tf.nest.map_structure(_fewer, loop)
    return fewer._replace(
        state=fewer.state._replace(found=_growing(state.found), cache=_growing(state.cache))
    )


def _fewer(value: tf.Tensor) -> tf.TensorShape:
    return tf.TensorShape([None, *value.shape[1:]] if value.shape.rank else [])


def _growing(values: Any) -> Any:
    def shape(value: tf.Tensor) -> tf.TensorShape:
        rest = value.shape[2:] if value.shape.rank < 3 else [None, *value.shape[3:]]
        return tf.TensorShape([None, *value.shape[1:2], *rest])

    return tf.nest.map_structure(shape, values)
