"""Sets and rolls back labels of versions in TF Serving's `models.config`, and prunes versions.

    stable -> 7        label: requests to `…/labels/stable` go to version 7 from the next look on
    stable -> 6        roll back: to where the label pointed before
    1 2 3 [6] [7] 8    prune: labelled versions and the newest stay

The file is replaced whole, so that a server that looks at it reads the old one or the new one
(`--model_config_file_poll_wait_seconds`). Every change is noted beside it, in
`models.config.history.jsonl`.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bert_tf.exporting.version_folders import version_numbers
from bert_tf.system.files import write_whole

log = logging.getLogger(__name__)

STABLE = "stable"


def read_labels(models_config: str | Path, *, name: str) -> dict[str, int]:
    """Label -> version of a model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no `ModelServerConfig`, or has no such model.
    """
    _, model = _read(Path(models_config), name)
    return dict(model.version_labels)


def set_label(
    models_config: str | Path,
    *,
    name: str,
    label: str,
    version: int,
    model_dir: str | Path | None = None,
) -> int | None:
    """Let `label` of a model stand for `version`; returns the version before, None for a new label.

    Args:
        model_dir: where the versions are, seen from here: one that is not there is refused.

    Raises:
        ValueError: as `read_labels`; or there is no such version.
    """
    if model_dir is not None and version not in version_numbers(Path(model_dir)):
        raise ValueError(
            f"{model_dir}: a label must stand for a version that is there. Received: {version}, of "
            f"{version_numbers(Path(model_dir))}. Export or publish it first."
        )
    path = Path(models_config)
    config, model = _read(path, name)
    before = dict(model.version_labels).get(label)
    if before == version:
        return before
    model.version_labels[label] = version
    _keep_loaded(model)
    _write(path, config)
    _note(path, name=name, label=label, version=version, before=before)
    log.info("%s of %s stands for version %d (before: %s).", label, name, version, before)
    return before


def roll_back(
    models_config: str | Path,
    *,
    name: str,
    label: str = STABLE,
    model_dir: str | Path | None = None,
) -> int:
    """Let a label stand again for what it stood for before its last change; returns that version.

    Done twice it goes two changes back.

    Raises:
        ValueError: it never stood for anything else, or that version is gone.
    """
    path = Path(models_config)
    stack: list[int] = []
    for change in _history(path):
        if (change["name"], change["label"]) != (name, label):
            continue
        if change["is_back"]:
            stack.pop()
        elif change["before"] is not None:
            stack.append(change["before"])
    if not stack:
        raise ValueError(
            f"{path}: a label can be rolled back to where it pointed before. Received: "
            f"{label!r} of {name!r} has had no other version. Set it with `bert-tf serving label`."
        )
    current = read_labels(path, name=name).get(label)
    version = stack[-1]
    if model_dir is not None and version not in version_numbers(Path(model_dir)):
        raise ValueError(
            f"{model_dir}: the version before must still be there. Received: {version} is gone, "
            f"there are {version_numbers(Path(model_dir))}. Set one of them with `bert-tf serving "
            "label`."
        )
    config, model = _read(path, name)
    model.version_labels[label] = version
    _write(path, config)
    _note(path, name=name, label=label, version=version, before=current, is_back=True)
    log.info("%s of %s stands for version %d again.", label, name, version)
    return version


def prune(
    model_dir: str | Path, *, keep: int, models_config: str | Path | None = None, name: str = ""
) -> list[int]:
    """Remove versions, the oldest first, but `keep` of the newest and those that have a label.

    What labels stood for before, and a roll-back would go to, stays as well. Returns those removed.
    """
    if keep < 1:
        raise ValueError(f"keep must be 1 or more: the newest version stays. Received: {keep}.")
    model_dir = Path(model_dir)
    stay: set[int] = set(version_numbers(model_dir)[-keep:])
    if models_config is not None:
        stay |= set(read_labels(models_config, name=name).values())
        stay |= set(_versions_before(Path(models_config), name))
    gone = [version for version in version_numbers(model_dir) if version not in stay]
    for version in gone:
        # Out of sight first: a server must not load what is being removed.
        hidden = model_dir / f".removing-{version}"
        (model_dir / str(version)).rename(hidden)
        shutil.rmtree(hidden)
    return gone


def _versions_before(path: Path, name: str) -> list[int]:
    last = {
        change["label"]: change["before"] for change in _history(path) if change["name"] == name
    }
    return [before for before in last.values() if before is not None]


def _read(path: Path, name: str) -> tuple[Any, Any]:
    """The file's message, and the model's part of it."""
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the file of served models must be there. Received: none. Begin with "
            "serving/production/models.config."
        )
    try:
        config = text_format.Parse(
            path.read_text(encoding="utf-8"), model_server_config_pb2.ModelServerConfig()
        )
    except text_format.ParseError as error:
        raise ValueError(f"{path}: not a ModelServerConfig in text form: {error}") from error
    models = {model.name: model for model in config.model_config_list.config}
    if name not in models:
        raise ValueError(
            f"{path}: the model must be one of {', '.join(sorted(models)) or 'none'}. "
            f"Received: {name!r}. Add a config for it."
        )
    return config, models[name]


def _keep_loaded(model: Any) -> None:
    """A label needs its version loaded: by default only the newest one is."""
    policy = model.model_version_policy
    if policy.WhichOneof("policy_choice") == "specific":
        policy.specific.versions[:] = sorted(
            set(policy.specific.versions) | set(model.version_labels.values())
        )
    elif policy.WhichOneof("policy_choice") is None:
        policy.all.SetInParent()


def _write(path: Path, config: Any) -> None:
    """With the comment that the file begins with; others do not survive."""
    from google.protobuf import text_format

    lines = path.read_text(encoding="utf-8").splitlines()
    comment: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line)
    text = text_format.MessageToString(config, as_utf8=True)
    write_whole(path, "\n".join([*comment, text]) if comment else text)


def _note(
    path: Path, *, name: str, label: str, version: int, before: int | None, is_back: bool = False
) -> None:
    change = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "name": name,
        "label": label,
        "version": version,
        "before": before,
        "is_back": is_back,
    }
    lines = [json.dumps(known) for known in _history(path)] + [json.dumps(change)]
    write_whole(_history_path(path), "\n".join(lines) + "\n")


def _history(path: Path) -> Sequence[dict[str, Any]]:
    history = _history_path(path)
    if not history.is_file():
        return []
    return [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]


def _history_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.history.jsonl")
