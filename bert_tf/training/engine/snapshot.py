"""Copies variables into the host's memory, fast, to be written while training goes on."""

from typing import Any

import numpy as np
import tensorflow as tf


class Snapshot:
    """Copies a tree (nested dicts) of variables, each time into the same memory.

    New memory costs far more than the copying: the system has to clear every page.
    """

    def __init__(self, tree: dict[str, Any]):
        self._tree = tree
        self._variables = tf.nest.flatten(tree)
        self._copies: list[np.ndarray] = []

    def allocate(self) -> None:
        """Take the memory, as much as the variables themselves, if that is not done yet."""
        if not self._copies:
            copies = [np.empty(tuple(v.shape), v.dtype.as_numpy_dtype) for v in self._variables]
            for copy in copies:
                copy.fill(0)
            self._copies = copies

    def take(self) -> None:
        """Copy what the variables hold now (of mirrored ones the first replica's)."""
        self.allocate()
        for copy, variable in zip(self._copies, self._variables, strict=True):
            # Not `.numpy()`, which makes a copy of its own.
            np.copyto(copy, np.asarray(variable.read_value()))

    def variables(self) -> dict[str, Any]:
        """The tree with variables that hold the copies: what `tf.train.Checkpoint` writes."""
        with tf.device("CPU:0"):
            variables = [tf.Variable(copy, trainable=False) for copy in self._copies]
        tree: dict[str, Any] = tf.nest.pack_sequence_as(self._tree, variables)
        return tree
