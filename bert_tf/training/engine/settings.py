"""Notes a run's settings beside its checkpoints and refuses to resume it with others."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from bert_tf.config.comparison import differences
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json
from bert_tf.system.listing import AS_LINES, listed
from bert_tf.system.lookalikes import tell_apart
from bert_tf.training.engine.checkpoints import CHECKPOINTS_FOLDER, checkpoint_steps

log = logging.getLogger(__name__)

SETTINGS_FILE = "settings.json"
_NUMBERS_OF_STEPS = ("num_train_steps", "num_steps")


def bind_settings(
    output_dir: str | Path,
    settings: dict[str, Any],
    *,
    implied: Mapping[str, Any] | None = None,
    is_writer: bool = True,
) -> None:
    """Note what a resumed run in `output_dir` must share; call it before anything is written.

    Only the number of steps may change, and only upwards. What is not in `settings` (logging,
    evaluation, checkpoints, devices) may change freely.

    Args:
        implied: a tree like `settings`: what a run without these settings had. Its values stand in
            where the folder's settings, noted by an older version, lack a key.
        is_writer: false for a worker that only compares: the chief notes the same.

    Raises:
        ValueError: the folder's checkpoints belong to other settings; shows the difference.
    """
    directory = Path(output_dir) / CHECKPOINTS_FOLDER
    path = directory / SETTINGS_FILE
    settings = _as_json(settings)
    if path.is_file() and checkpoint_steps(directory):
        before = _with_implied(read_json(path, what="the settings of a run"), _as_json(implied))
        changed = differences(before, settings)
        refused = {key: pair for key, pair in changed.items() if not _is_allowed(key, *pair)}
        if refused:
            raise ValueError(
                f"{directory}: a resumed run must have the settings it began with. Received:\n  "
                + listed(
                    (
                        f"{key}: was {was!r}, is {now!r}{tell_apart(str(was), str(now))}"
                        for key, (was, now) in refused.items()
                    ),
                    **AS_LINES,
                )
                + "\nRestore them, or use another --output-dir."
            )
        for key, (was, now) in changed.items():
            log.info(
                "%s is %d, and was %d: from here on the learning rate follows the schedule of the "
                "longer run.",
                key,
                now,
                was,
            )
    if is_writer:
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(settings, indent=2))


def defaults_of(section: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The defaults of all fields that have one."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in section.model_fields.items()
        if not field.is_required()
    }
    return {
        name: value.model_dump(mode="json") if isinstance(value, pydantic.BaseModel) else value
        for name, value in defaults.items()
    }


def _as_json(tree: Any) -> Any:
    """As it will be read again: lists for tuples."""
    return json.loads(json.dumps(tree))


def _with_implied(before: Any, implied: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(implied, dict):
        return before
    return implied | {key: _with_implied(value, implied.get(key)) for key, value in before.items()}


def _is_allowed(key: str, was: Any, now: Any) -> bool:
    return key in _NUMBERS_OF_STEPS and isinstance(was, int) and now > was
