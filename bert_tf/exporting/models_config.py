"""TF Serving's `models.config`, read, checked and replaced whole, and the history of its labels.

In: the file that servers look at, `BASE/config/models.config` beside the models. Out: the same
file, changed by one process at a time; beside it `models.config.history.jsonl`, a line a change.
"""

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bert_tf.exporting import object_store
from bert_tf.exporting.version_folders import version_numbers
from bert_tf.system.files import write_whole
from bert_tf.system.folder_lock import lock_folder
from bert_tf.system.json_files import parse_json, read_text, validated
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint, path_hint

PLATFORM = "tensorflow"
CONFIG_FOLDER = "config"
CONFIG_FILE = "models.config"
HEAD = """\
# What TensorFlow Serving serves: versions that are loaded, and what labels stand for.
# Written by `bert-tf serving`; see docs/operations.md before you change it by hand.
"""


def config_beside(model_dir: Path) -> Path:
    """Where the `models.config` lies: `BASE/config/` beside `BASE/NAME/`."""
    return model_dir.absolute().parent / CONFIG_FOLDER / CONFIG_FILE


@contextlib.contextmanager
def editing(path: Path, *, command: str, may_create: bool = False) -> Iterator[Any]:
    """The file's `ModelServerConfig`, to be changed in the block; written at its end.

    After an error, and where nothing changed, the file stays as it is.

    Raises:
        FileNotFoundError: there is no such file, and it may not be created.
        ValueError: as `read`; or another process is changing the file.
    """
    if not may_create:
        _check_is_there(path)
    with lock_folder(path.parent, command=command):
        is_new = may_create and not path.exists()
        config = _new_config() if is_new else read(path)
        before = config.SerializeToString(deterministic=True)
        yield config
        _check_is_servable(path, config)
        if config.SerializeToString(deterministic=True) != before:
            _write(path, config)


def read(path: Path) -> Any:
    """The file's `ModelServerConfig`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is none, or TensorFlow Serving would refuse it.
    """
    from google.protobuf import text_format

    _check_is_there(path)
    text = read_text(path, what="a file of served models")
    try:
        config = text_format.Parse(text, _new_config())
    except text_format.ParseError as error:
        raise ValueError(
            f"{path}: must be a ModelServerConfig in text form. Received: {error}. Mend it, or "
            "write it anew with `bert-tf serving load --base-path`."
        ) from error
    _check_is_servable(path, config)
    return config


def model_of(path: Path, config: Any, name: str) -> Any:
    """The part of a model.

    Raises:
        ValueError: there is none.
    """
    models = {model.name: model for model in config.model_config_list.config}
    if name not in models:
        raise ValueError(
            f"{path}: the model must be one of {listed(sorted(models)) or 'none'}. "
            f"Received: {name!r}. Add it with `bert-tf serving load --base-path`."
            f"{alike_hint(name, models)}"
        )
    return models[name]


def model_at(path: Path, config: Any, name: str, base_path: str) -> Any:
    """The part of a model at `base_path`, added if there is none.

    Raises:
        ValueError: it is there with another path.
    """
    models = {model.name: model for model in config.model_config_list.config}
    if name not in models:
        added = config.model_config_list.config.add(
            name=name, base_path=base_path, model_platform=PLATFORM
        )
        added.model_version_policy.specific.SetInParent()  # No server has any of its versions.
        return added
    if models[name].base_path != base_path:
        raise ValueError(
            f"{path}: base_path of {name!r} must stay as it is, {models[name].base_path!r}. "
            f"Received: {base_path!r}. Leave --base-path out."
        )
    return models[name]


def versions_seen(path: Path, model: Any, model_dir: str | Path | None) -> list[int]:
    """The versions of a model that are there, in `model_dir` or at the file's `base_path`.

    Raises:
        ValueError: that is no folder here.
    """
    place = str(model_dir or model.base_path)
    if object_store.is_url(place):
        return object_store.versions_on_store(place)
    if not Path(place).is_dir():
        raise ValueError(
            f"{path}: the versions of {model.name!r} must be seen from here. Received: no folder "
            f"{place}. Say with --model-dir where the folder of the versions is."
        )
    return version_numbers(Path(place))


def named_versions(model: Any) -> set[int]:
    """The versions of a `specific` policy; none of another."""
    return set(model.model_version_policy.specific.versions)


def loaded_versions(model: Any, versions: list[int]) -> set[int]:
    """What servers have by the policy, of the versions on disk."""
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "specific":
        return named_versions(model)
    if kind == "all":
        return set(versions)
    return set(versions[-(policy.latest.num_versions or 1) :])


def set_policy(model: Any, versions: set[int]) -> None:
    """Let servers load these versions and no others."""
    model.model_version_policy.specific.versions[:] = sorted(versions)


def note(path: Path, model: Any, **change: Any) -> None:
    """Add a change to the history.

    It is noted before the file is written: a change that a killed process noted and never made is
    recognised by `version_before`, one that was made and never noted could not be rolled back.
    """
    now = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "name": model.name}
    lines = [json.dumps(known) for known in [*_made_changes(path, model), now | change]]
    write_whole(_history_path(path), "\n".join(lines) + "\n")


def version_before(path: Path, model: Any, label: str) -> int | None:
    """What a label stood for before its last change; None where that is not known.

    After a roll-back it is what the label stood for one change earlier.
    """
    current = dict(model.version_labels).get(label)
    ours = [change for change in _made_changes(path, model) if _is_of(change, model.name, label)]
    stack: list[int] = []
    for change in ours:
        if change["is_back"]:
            stack[-1:] = []
        elif change["before"] is None:  # The label is new, or was taken away before.
            stack = []
        else:
            stack.append(change["before"])
    if ours and ours[-1]["version"] != current:  # Changed by hand since.
        stack.append(ours[-1]["version"])
    return stack[-1] if stack else None


@functools.cache
def _kinds_of_change() -> tuple[type, type]:
    """What is read again of a line of the history, and of one on a label."""
    from pydantic import BaseModel  # not at the top: `bert-tf --help` needs none

    class Change(BaseModel, strict=True):
        name: str

    class LabelChange(Change):
        label: str
        version: int | None  # None of one that is taken away
        before: int | None  # None of a new one
        is_back: bool

    return Change, LabelChange


def _made_changes(path: Path, model: Any) -> list[dict[str, Any]]:
    """The history, without a model's last change of a label that was noted and never made."""
    history = _history_path(path)
    if not history.is_file():
        return []
    what = "a change of the served models"
    changes, (any_change, label_change) = [], _kinds_of_change()
    for number, line in enumerate(read_text(history, what="their history").split("\n"), start=1):
        if line:
            origin = f"{history}:{number}"
            tree = parse_json(line, origin=origin, what=what, has_lines=False)
            kind = label_change if "label" in tree else any_change
            validated(kind, tree, origin=origin, what=what)
            changes.append(tree)
    for label, current in dict(model.version_labels).items():
        ours = [change for change in changes if _is_of(change, model.name, label)]
        if ours and ours[-1]["version"] != current == ours[-1]["before"]:
            changes.remove(ours[-1])
    return changes


def _is_of(change: dict[str, Any], name: str, label: str) -> bool:
    return change["name"] == name and change.get("label") == label


def _history_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.history.jsonl")


def _new_config() -> Any:
    from tensorflow_serving.config import model_server_config_pb2

    return model_server_config_pb2.ModelServerConfig()


def _check_is_there(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the file of served models must be there. Received: none. `bert-tf serving "
            f"load --base-path` writes it.{path_hint(path)}"
        )


def _check_is_servable(path: Path, config: Any) -> None:
    """Of a wrong file a running server takes nothing, and a new one does not start with it."""
    names: Sequence[str] = [model.name for model in config.model_config_list.config]
    for model in config.model_config_list.config:
        if names.count(model.name) > 1:
            raise ValueError(
                f"{path}: a model must stand there once. Received: {model.name!r} "
                f"{names.count(model.name)} times. Remove the others."
            )
        if model.model_platform != PLATFORM:
            raise ValueError(
                f"{path}: model_platform of {model.name!r} must be {PLATFORM!r}. Received: "
                f"{model.model_platform!r}. Set it: without it TensorFlow Serving refuses the file."
            )
        if not (Path(model.base_path).is_absolute() or object_store.is_url(model.base_path)):
            raise ValueError(
                f"{path}: base_path of {model.name!r} must be an absolute path or an address, as "
                f"the servers see it. Received: {model.base_path!r}. Give the whole path."
            )


def _write(path: Path, config: Any) -> None:
    """With the comment that the file begins with; others do not survive."""
    from google.protobuf import text_format

    comment: list[str] = []
    for line in (read_text(path) if path.exists() else HEAD).splitlines():
        if not line.startswith("#"):
            break
        comment.append(line)
    text = text_format.MessageToString(config, as_utf8=True)
    write_whole(path, "\n".join([*comment, text]))
