"""Versions of a registered model: made, listed, given aliases. Errors: as in the package."""

import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bert_tf.config.registry_names import check_alias, check_name
from bert_tf.exporting.mlflow_model import (
    check_example,
    enter_run,
    log_model,
    make_example,
    make_signature,
)
from bert_tf.registry.checks import (
    check_experiment,
    checked_files,
    checked_metrics,
    checked_tags,
    parted_tags,
)
from bert_tf.registry.lock import locked
from bert_tf.registry.lookup import (
    MODEL_FOLDER,
    MODEL_TAG,
    SAVED_MODEL,
    find_model,
    find_version,
    open_registry,
    search_all_versions,
    search_models,
    search_versions,
)

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
FILES_FOLDER = "files"
"""In the run's artifacts: what `register` was given."""

FINGERPRINT_TAG = "bert_tf.fingerprint"
"""Of a version: what it was made from, see `register`."""

_log = logging.getLogger(__name__)

_DESCRIPTION_CHARACTERS = 5000  # what MLflow's database keeps


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """One version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    created_at: datetime
    """UTC."""
    run_id: str | None
    model_id: str | None
    """MLflow's logged model, where the artifacts are."""


def register(
    saved_model_dir: str | Path,
    *,
    name: str,
    tracking_uri: str,
    run_id: str | None = None,
    experiment: str = "bert_tf",
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, Any] | None = None,
    files: Iterable[str | Path] = (),
    model_dir: str | Path | None = None,
    fingerprint: str | None = None,
    input_example: Any = None,
) -> RegisteredVersion:
    """Make a SavedModel whose default signature takes text the next version of `name`.

    It is logged into the run `run_id`, or into a new one of `experiment` if that is None or
    unknown to the server; `files` go into the run's folder `FILES_FOLDER`. `metrics` and `tags` are
    kept with the version. An export's card (`exporting.model_card`) becomes the version's
    description and joins the files. `input_example` is a DataFrame, or texts for the one input;
    default: a row of text. The model must answer it before anything is stored, and names, tags,
    metrics and files are checked before that: what is refused leaves no run, model or version.

    Args:
        model_dir: the model folder, kept as well: `fetch_model` gives it back to be trained on.
        fingerprint: of what the version was made from. A version that has the same one already is
            returned as it is, so a call that was cut off while registering may be repeated.
    """
    from bert_tf.exporting.model_card import make_card

    check_name(name)
    check_experiment(experiment)
    metrics = checked_metrics(metrics)
    fingerprint_tags = {FINGERPRINT_TAG: fingerprint} if fingerprint else {}
    tags = checked_tags({**fingerprint_tags, **(tags or {})}, metrics)
    files = checked_files(files)
    saved_model_dir = Path(saved_model_dir)
    signature = make_signature(saved_model_dir)
    card = make_card(saved_model_dir, name=name)
    example = make_example(input_example, signature=signature)
    check_example(saved_model_dir, example=example)
    folders = {SAVED_MODEL: saved_model_dir}
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(open_registry(tracking_uri))
        if known := _find_made_from(client, name, fingerprint):
            _log.info("%s version %s was made from the same: kept.", name, known.version)
            return known
        if model_dir is not None:
            folders[MODEL_FOLDER] = stack.enter_context(_without_checkpoints(Path(model_dir)))
        run = stack.enter_context(enter_run(client, run_id, experiment))
        is_new = run.info.run_id != run_id
        _log_to_run(client, run.info.run_id, metrics if is_new else None, files, card)
        model = log_model(
            client,
            run=run,
            name=name,
            folders=folders,
            signature=signature,
            example=example,
        )
        _ensure_name(client, name)  # not before: a model without a version is of no use
        version = client.create_model_version(
            name,
            source=model.artifact_location,  # models:/ID is looked up in the process's default
            run_id=run.info.run_id,
            model_id=model.model_id,
            description=card and card[:_DESCRIPTION_CHARACTERS],
            tags={MODEL_TAG: model.model_id, **tags},
        )
        link = json.dumps([{"name": name, "version": version.version}])
        client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
        return _describe_version(version, aliases={})


def promote(
    *,
    name: str,
    version: int | str,
    alias: str = CHAMPION,
    expected_holder: int | None = None,
    tracking_uri: str,
) -> RegisteredVersion:
    """Move `alias` to `version`. The version that was `champion` becomes `previous`.

    Of several promotions at once one is made, the others are told.

    Args:
        expected_holder: refuse where another version holds the alias. None may hold it, or
            `version` itself.

    Raises:
        ValueError: another version holds the alias, or another promotion is under way.
    """
    check_alias(alias)
    with open_registry(tracking_uri) as client:
        chosen = find_version(client, name, version)
        with locked(client, name):
            aliases = client.get_registered_model(name).aliases
            chosen_number = int(chosen.version)
            holder = aliases.get(alias)
            is_expected = holder is None or int(holder) in (expected_holder, chosen_number)
            if expected_holder is not None and not is_expected:
                raise ValueError(
                    f"{name}: {alias} must still be version {expected_holder}, with which version "
                    f"{chosen.version} was compared. Received: version {holder}. Compare again."
                )
            if holder != chosen.version:
                if alias == CHAMPION and holder is not None:
                    client.set_registered_model_alias(name, PREVIOUS, holder)
                client.set_registered_model_alias(name, alias, chosen.version)
        return _describe_version(chosen, aliases=client.get_registered_model(name).aliases)


def roll_back(*, name: str, tracking_uri: str) -> RegisteredVersion:
    """Make `previous` the champion again; the champion becomes `previous`.

    Raises:
        ValueError: there is no previous version.
    """
    return promote(name=name, version=PREVIOUS, tracking_uri=tracking_uri)


def read_aliases(*, name: str, tracking_uri: str) -> dict[str, int]:
    """Alias -> version of the registered model `name`."""
    with open_registry(tracking_uri) as client:
        return {alias: int(number) for alias, number in find_model(client, name).aliases.items()}


def remove_alias(*, name: str, alias: str, tracking_uri: str) -> None:
    """No version of `name` has the alias from then on."""
    with open_registry(tracking_uri) as client:
        find_model(client, name)
        with locked(client, name):
            client.delete_registered_model_alias(name, alias)


def set_tags(*, name: str, version: int, tags: Mapping[str, str], tracking_uri: str) -> None:
    """Tags of a version; the last value of a key stays."""
    tags = checked_tags(tags, {})
    with open_registry(tracking_uri) as client:
        for key, value in tags.items():
            client.set_model_version_tag(name, str(version), key, value)


def get_version(*, name: str, alias_or_version: str | int, tracking_uri: str) -> RegisteredVersion:
    """One version of `name`."""
    with open_registry(tracking_uri) as client:
        version = find_version(client, name, alias_or_version)
        return _describe_version(version, aliases=find_model(client, name).aliases)


def list_versions(*, name: str | None = None, tracking_uri: str) -> list[RegisteredVersion]:
    """Versions of `name`, or of all models, by name and number."""
    with open_registry(tracking_uri) as client:
        if name is None:
            models = {model.name: model for model in search_models(client)}
            found = search_all_versions(client)
        else:
            models = {name: find_model(client, name)}
            found = search_versions(client, name)
        versions = [
            _describe_version(version, aliases=models[version.name].aliases)
            for version in found
            if version.name in models
        ]
    return sorted(versions, key=lambda version: (version.name, version.version))


def _find_made_from(client: Any, name: str, fingerprint: str | None) -> RegisteredVersion | None:
    if fingerprint is None:
        return None
    for version in search_versions(client, name):
        if version.tags.get(FINGERPRINT_TAG) == fingerprint:
            return _describe_version(version, aliases=find_model(client, name).aliases)
    return None


@contextlib.contextmanager
def _without_checkpoints(model_dir: Path) -> Iterator[Path]:
    """A folder of the files that a model is trained on from, without those of its own training."""
    from bert_tf.models.description import load_description

    load_description(model_dir)
    with tempfile.TemporaryDirectory() as folder:
        for path in model_dir.iterdir():
            if path.is_file() and not path.name.startswith("."):
                shutil.copyfile(path, Path(folder) / path.name)
        yield Path(folder)


def _log_to_run(
    client: Any,
    run_id: str,
    metrics: Mapping[str, float] | None,
    files: Iterable[str | Path],
    card: str | None,
) -> None:
    from bert_tf.exporting.model_card import CARD_FILE

    for key, value in (metrics or {}).items():
        client.log_metric(run_id, key, value)
    for path in files:
        client.log_artifact(run_id, str(path), FILES_FOLDER)
    if card:
        client.log_text(run_id, card, f"{FILES_FOLDER}/{CARD_FILE}")


def _ensure_name(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _describe_version(version: Any, *, aliases: Mapping[str, Any]) -> RegisteredVersion:
    metrics, tags = parted_tags(version.tags)
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        aliases=tuple(sorted(a for a, v in aliases.items() if str(v) == str(version.version))),
        metrics=metrics,
        tags={key: value for key, value in tags.items() if key != MODEL_TAG},
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
        run_id=version.run_id or None,
        model_id=version.tags.get(MODEL_TAG),
    )
