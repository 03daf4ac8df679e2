"""The state of a run on disk: weights, the optimizer's state and the step they belong to.

A checkpoint names its step, and data order, masks and dropout follow from (seed, step): nothing
else needs to be kept to go on.
"""

import json
import logging
from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.files import write_whole
from bert_tf.models.tensors import weights_by_name
from bert_tf.training.optimizers import Optimizer

log = logging.getLogger(__name__)

CHECKPOINTS_FOLDER = "checkpoints"
SETTINGS_FILE = "settings.json"

# What TensorFlow raises on damaged, truncated and incomplete files.
_UNREADABLE = (tf.errors.OpError, AssertionError, IndexError, RuntimeError, ValueError)


class Checkpoints:
    """The newest `keep` checkpoints of one run in `directory`."""

    def __init__(
        self,
        directory: str | Path,
        *,
        model: Any,
        optimizer: Optimizer,
        keep: int,
    ):
        self.directory = Path(directory)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        names = list(weights_by_name(model))
        trainable = {id(variable): i for i, variable in enumerate(model.trainable_variables)}
        order = [trainable[id(weight)] for weight in weights_by_name(model).values()]
        state = {
            name.replace("/", "."): _state(optimizer, index)
            for name, index in zip(names, order, strict=True)
        }
        self._checkpoint = tf.train.Checkpoint(
            step=self.step, num_updates=optimizer.num_updates, state=state
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.directory), max_to_keep=keep, checkpoint_name="step"
        )

    def restore_newest(self) -> int:
        """Load the newest whole checkpoint, if there is one; the step to go on from, or 0.

        Raises:
            ValueError: there are checkpoints, and none is whole.
        """
        for path in reversed(self._manager.checkpoints):
            try:
                self._checkpoint.restore(path).assert_consumed()
            except _UNREADABLE as error:
                log.warning(
                    "%s: a checkpoint must be whole. Received: %s. Going back to the one before.",
                    path,
                    str(error).splitlines()[0],
                )
                continue
            return int(self.step.numpy())
        if self._manager.checkpoints:
            raise ValueError(
                f"{self.directory}: at least one checkpoint must be whole. Received: "
                f"{len(self._manager.checkpoints)}, none of them readable. Delete the folder to "
                "start again from the first step."
            )
        return 0

    def save(self, step: int) -> Path:
        """Write the state after `step` steps; older checkpoints beyond `keep` go."""
        self.step.assign(step)
        return Path(self._manager.save(checkpoint_number=step))


def bind_settings(output_dir: str | Path, settings: dict[str, Any]) -> None:
    """Note what a resumed run in `output_dir` must share; call it before anything is written.

    Raises:
        ValueError: the folder's checkpoints belong to other settings; shows the difference.
    """
    directory = Path(output_dir) / CHECKPOINTS_FOLDER
    path = directory / SETTINGS_FILE
    settings = json.loads(json.dumps(settings))
    if path.is_file() and tf.train.latest_checkpoint(str(directory)):
        before = json.loads(path.read_text(encoding="utf-8"))
        if before != settings:
            raise ValueError(
                f"{directory}: a resumed run must have the settings it began with. Received:\n  "
                + "\n  ".join(_differences(before, settings))
                + "\nRestore them, or use another --output-dir."
            )
        return
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(settings, indent=2))


def _state(optimizer: Optimizer, index: int) -> dict[str, tf.Variable]:
    return {"weight": optimizer.weights[index], **optimizer.slots[index]}


def _differences(before: Any, after: Any, *, key: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            line
            for name in sorted(before.keys() | after.keys())
            for line in _differences(
                before.get(name), after.get(name), key=f"{key}.{name}" if key else name
            )
        ]
    return [] if before == after else [f"{key}: was {before!r}, is {after!r}"]
