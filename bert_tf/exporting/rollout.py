"""Chooses which versions TF Serving loads and what labels stand for, and prunes the others.

    load 8             servers load version 8 beside those they have
    stable -> 8        label: requests to `…/labels/stable` go to version 8; what nothing needs any
                       more is unloaded, and version 7 stays for a roll-back
    stable -> 7        roll back: to where the label pointed before
    1 2 3 [6] [7] 8    prune: the newest stay on disk, and all that `models.config` names

Loading and labelling are two changes of the file, and every server must have seen the first before
the second is made. TensorFlow Serving looks at labels before it looks at versions: a file that
brings both at once is refused, again and again, since the version of the refused file is never
loaded (`ServerCore::ReloadConfig`). `served_versions` asks the servers how far they are.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

from bert_tf.exporting.models_config import (
    config_beside,
    editing,
    loaded_versions,
    model_at,
    model_of,
    named_versions,
    note,
    read,
    set_policy,
    version_before,
    versions_seen,
)
from bert_tf.exporting.version_folders import listed_versions, version_numbers
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint

log = logging.getLogger(__name__)

STABLE = "stable"
MAX_LOADED = 3
"""Versions of a model in a server's memory: the one that answers, the one a roll-back would go to,
and the next one. The memory limit of a server must bear as many."""


def read_labels(models_config: str | Path, *, name: str) -> dict[str, int]:
    """Label -> version of a model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no `ModelServerConfig` that is served, or has no such model.
    """
    path = Path(models_config)
    return dict(model_of(path, read(path), name).version_labels)


def read_loaded(models_config: str | Path, *, name: str) -> list[int]:
    """The versions that servers hold, in rising order; empty where the policy is not `specific`.

    Raises: as `read_labels`.
    """
    path = Path(models_config)
    return sorted(named_versions(model_of(path, read(path), name)))


def load_version(
    models_config: str | Path,
    *,
    name: str,
    version: int,
    model_dir: str | Path | None = None,
    base_path: str | None = None,
    max_loaded: int = MAX_LOADED,
) -> list[int]:
    """Let servers load `version` beside what they have; returns all that they then hold.

    Args:
        model_dir: where the versions are, seen from here; by default the file's `base_path`.
        base_path: where they are, seen from the servers. With it a model that is not in the file
            yet is added, and a file that is not there is written.

    Raises:
        FileNotFoundError: there is no such file, and no `base_path` to write one.
        ValueError: there is no such model or version, or too many would be loaded.
    """
    path = Path(models_config)
    with editing(path, command="bert-tf serving load", may_create=base_path is not None) as config:
        if base_path is None:
            model = model_of(path, config, name)
        else:
            model = model_at(path, config, name, base_path)
        versions = versions_seen(path, model, model_dir)
        _check_is_there(version, versions, where=model_dir or model.base_path)
        loaded = _kept(path, model, versions) | {version}
        if loaded == named_versions(model):
            return sorted(loaded)
        if len(loaded) > max_loaded:
            raise ValueError(
                f"{path}: at most {max_loaded} versions of {name!r} may be loaded, as many as a "
                f"server's memory bears. Received: {listed_versions(loaded)}. Take one out with "
                "`bert-tf serving unload`, or raise --max-loaded together with the servers' memory "
                "limit."
            )
        note(path, model, action="load", version=version)
        set_policy(model, loaded)
    log.info("Servers of %s load versions %s.", name, listed_versions(loaded))
    return sorted(loaded)


def unload_version(models_config: str | Path, *, name: str, version: int) -> list[int]:
    """Let servers unload a version that no label stands for; returns those that they keep.

    Raises:
        ValueError: as `read_labels`; or the version is not loaded, has a label or is the last one.
    """
    path = Path(models_config)
    with editing(path, command="bert-tf serving unload") as config:
        model = model_of(path, config, name)
        loaded = named_versions(model)
        labels = [label for label, at in model.version_labels.items() if at == version]
        if version not in loaded or labels or len(loaded) == 1:
            reason = (
                f"{listed(labels)} stands for it"
                if labels
                else f"loaded are {listed_versions(loaded)}"
            )
            raise ValueError(
                f"{path}: a version to unload must be loaded, without a label, and not the only "
                f"one. Received: {version}, and {reason}. Move the label first."
            )
        note(path, model, action="unload", version=version)
        set_policy(model, loaded - {version})
    return sorted(loaded - {version})


def set_label(
    models_config: str | Path,
    *,
    name: str,
    label: str,
    version: int,
    model_dir: str | Path | None = None,
) -> int | None:
    """Let `label` of a model stand for `version`; returns the version before, None for a new label.

    The version must be loaded: see `load_version`. What labels or a roll-back needed until now and
    need no more is unloaded.

    Args:
        model_dir: as `load_version`.

    Raises:
        ValueError: as `read_labels`; or there is no such version, or it is not loaded.
    """
    path = Path(models_config)
    with editing(path, command="bert-tf serving label") as config:
        model = model_of(path, config, name)
        versions = versions_seen(path, model, model_dir)
        _check_is_there(version, versions, where=model_dir or model.base_path)
        before = dict(model.version_labels).get(label)
        if before == version:
            return before
        _move(path, model, label=label, version=version, versions=versions, is_back=False)
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
        ValueError: it never stood for anything else, or that version is gone or not loaded.
    """
    path = Path(models_config)
    with editing(path, command="bert-tf serving rollback") as config:
        model = model_of(path, config, name)
        version = version_before(path, model, label)
        if version is None:
            raise ValueError(
                f"{path}: a label can be rolled back to where it pointed before. Received: "
                f"{label!r} of {name!r} has had no other version. Set it with `bert-tf serving "
                f"label`.{alike_hint(label, model.version_labels)}"
            )
        versions = versions_seen(path, model, model_dir)
        _check_is_there(version, versions, where=model_dir or model.base_path)
        _move(path, model, label=label, version=version, versions=versions, is_back=True)
    log.info("%s of %s stands for version %d again.", label, name, version)
    return version


def remove_label(models_config: str | Path, *, name: str, label: str) -> list[int]:
    """Take a label away, and unload what it alone needed; returns the versions that stay loaded.

    Raises:
        ValueError: as `read_labels`; or there is no such label.
    """
    path = Path(models_config)
    with editing(path, command="bert-tf serving unlabel") as config:
        model = model_of(path, config, name)
        if label not in model.version_labels:
            raise ValueError(
                f"{path}: a label to take away must be there. Received: {label!r}, of "
                f"{listed(sorted(model.version_labels)) or 'none'}."
                f"{alike_hint(label, model.version_labels)}"
            )
        needed, before = _needed(path, model), model.version_labels[label]
        note(path, model, action="unlabel", was=label, version=before)
        del model.version_labels[label]
        loaded = named_versions(model)
        if loaded:
            loaded = loaded - (needed - _needed(path, model)) or {before}
            set_policy(model, loaded)
    return sorted(loaded)


def prune(
    model_dir: str | Path, *, keep: int, models_config: str | Path | None = None, name: str = ""
) -> list[int]:
    """Remove versions, the oldest first, but `keep` of the newest and all that servers may need.

    That is what `models.config` names: labelled and loaded versions, and those a roll-back would go
    to. Without `models_config` the file at its place beside the models is asked, if there is one,
    for the model of the folder's name. Returns those removed.

    Raises:
        ValueError: `keep` is below 1, or the file is none.
    """
    if keep < 1:
        raise ValueError(f"keep must be 1 or more: the newest version stays. Received: {keep}.")
    model_dir = Path(model_dir)
    path = Path(models_config) if models_config is not None else config_beside(model_dir)
    if models_config is None and not path.is_file():
        return _remove_but(set(), model_dir, keep)
    with editing(path, command="bert-tf serving prune") as config:  # Nobody loads one meanwhile.
        base_path = model_of(path, config, name).base_path if name else None
        stay: set[int] = set()
        for model in config.model_config_list.config:
            if model.base_path == base_path or Path(model.base_path).name == model_dir.name:
                keep = max(keep, model.model_version_policy.latest.num_versions)
                stay |= named_versions(model) | _needed(path, model)
        return _remove_but(stay, model_dir, keep)


def _remove_but(stay: set[int], model_dir: Path, keep: int) -> list[int]:
    stay = stay | set(version_numbers(model_dir)[-keep:])
    gone = [version for version in version_numbers(model_dir) if version not in stay]
    for version in gone:
        # Out of sight first: a server must not load what is being removed.
        hidden = model_dir / f".removing-{version}"
        (model_dir / str(version)).rename(hidden)
        shutil.rmtree(hidden)
    return gone


def _move(
    path: Path, model: Any, *, label: str, version: int, versions: list[int], is_back: bool
) -> None:
    """The label, the history, and what is loaded for them."""
    loaded = loaded_versions(model, versions)
    if version not in loaded:
        raise ValueError(
            f"{path}: a label must stand for a version that servers have loaded. Received: "
            f"{version}; loaded are {listed_versions(loaded)}. `bert-tf serving load --version "
            f"{version}` first, and `bert-tf serving wait` until they have it."
        )
    kept = _kept(path, model, versions)
    needed_before = _needed(path, model)
    before = dict(model.version_labels).get(label)
    note(path, model, label=label, version=version, before=before, is_back=is_back)
    model.version_labels[label] = version
    needed = _needed(path, model)
    after = (kept - (needed_before - needed)) | {version}
    # What the next roll-back would go to takes the place of what went, if there was any.
    for other in sorted(needed - after, reverse=True):
        if other in versions and len(after) < len(kept):
            after.add(other)
    set_policy(model, after)


def _check_is_there(version: int, versions: list[int], *, where: str | Path) -> None:
    if version not in versions:
        raise ValueError(
            f"{where}: the version must be there. Received: {version}, of "
            f"{listed_versions(versions)}. Export or publish it first, or set one that is "
            "there with `bert-tf serving label`."
        )


def _needed(path: Path, model: Any) -> set[int]:
    """What labels stand for, and what a roll-back of one would go to."""
    before = {version_before(path, model, label) for label in model.version_labels}
    return set(model.version_labels.values()) | {at for at in before if at is not None}


def _kept(path: Path, model: Any, versions: list[int]) -> set[int]:
    """What of that goes on being loaded; of all that is on disk, what is needed and the newest."""
    if model.model_version_policy.WhichOneof("policy_choice") == "all":
        return set(versions[-1:]) | (_needed(path, model) & set(versions))
    return loaded_versions(model, versions)
