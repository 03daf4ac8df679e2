"""The model registry: exported SavedModels as versions of named MLflow models.

    register   a SavedModel becomes a version: pyfunc, signature, metrics, files
    promote    an alias moves to a version; `champion` leaves `previous` behind
    roll_back  `previous` and `champion` change places
    fetch      a version's SavedModel comes back into a folder
    publish    a version's SavedModel becomes BASE/NAME/N, where TF Serving finds it

Every SavedModel that leaves the registry says where it came from in `assets.extra/registry.json`.
All functions take `tracking_uri` and use no MLflow state of the process.

Errors: ValueError for what the registry does not have or does not take, ConnectionError when it
does not answer.
"""

import contextlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bert_tf.export import object_store
from bert_tf.export.mlflow_model import (
    check_example,
    enter_run,
    log_model,
    make_example,
    make_signature,
)
from bert_tf.export.model_card import CARD_FILE, make_card
from bert_tf.export.versions import publish as put_into_place
from bert_tf.export.versions import version_numbers
from bert_tf.files import write_whole
from bert_tf.registry_lock import locked
from bert_tf.registry_lookup import (
    find_model,
    find_version,
    open_registry,
    search_models,
    search_versions,
)

CHAMPION = "champion"
PREVIOUS = "previous"
ORIGIN_FILE = "registry.json"
FILES_FOLDER = "files"
"""In the run's artifacts: what `register` was given."""

_log = logging.getLogger(__name__)

_DOWNLOAD_PREFIX = ".registry-"
_ABANDONED_AFTER_SECONDS = 3600.0
_METRIC_TAG = "metric."
_DESCRIPTION_CHARACTERS = 5000  # what MLflow's database keeps
_MODEL_TAG = "bert_tf.model_id"  # MLflow's own database does not keep a version's model_id


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
    input_example: Any = None,
) -> RegisteredVersion:
    """Make a SavedModel whose default signature takes text the next version of `name`.

    It is logged into the run `run_id`, or into a new one of `experiment` if that is None or
    unknown to the server; `files` go into the run's folder `FILES_FOLDER`. `metrics` and `tags` are
    kept with the version. An export's card (`export.model_card`) becomes the version's description
    and joins the files. `input_example` is a DataFrame, or texts for the one input; default: a
    row of text. The model must answer it before anything is stored.
    """
    saved_model_dir = Path(saved_model_dir)
    signature = make_signature(saved_model_dir)
    files = [_existing(path) for path in files]
    example = make_example(input_example, signature=signature)
    check_example(saved_model_dir, example=example)
    with open_registry(tracking_uri) as client, enter_run(client, run_id, experiment) as run:
        if run.info.run_id != run_id:
            for key, value in (metrics or {}).items():
                client.log_metric(run.info.run_id, key, float(value))
        for path in files:
            client.log_artifact(run.info.run_id, str(path), FILES_FOLDER)
        card = make_card(saved_model_dir, name=name)
        if card:
            client.log_text(run.info.run_id, card, f"{FILES_FOLDER}/{CARD_FILE}")
        _ensure_name(client, name)
        model = log_model(
            client,
            run=run,
            name=name,
            saved_model_dir=saved_model_dir,
            signature=signature,
            example=example,
        )
        version = client.create_model_version(
            name,
            source=model.artifact_location,  # models:/ID is looked up in the process's default
            run_id=run.info.run_id,
            model_id=model.model_id,
            description=card and card[:_DESCRIPTION_CHARACTERS],
            tags={
                _MODEL_TAG: model.model_id,
                **{key: str(value) for key, value in (tags or {}).items()},
                **{f"{_METRIC_TAG}{k}": repr(float(v)) for k, v in (metrics or {}).items()},
            },
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
        expected_holder: refuse where another version holds the alias; none may hold it, too.

    Raises:
        ValueError: another version holds the alias, or another promotion is under way.
    """
    with open_registry(tracking_uri) as client:
        chosen = find_version(client, name, version)
        with locked(client, name):
            aliases = client.get_registered_model(name).aliases
            holder = aliases.get(alias)
            is_expected = holder is None or int(holder) == expected_holder
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


def list_versions(*, name: str | None = None, tracking_uri: str) -> list[RegisteredVersion]:
    """Versions of `name`, or of all models, by name and number."""
    with open_registry(tracking_uri) as client:
        names = [model.name for model in search_models(client)] if name is None else [name]
        versions = [
            _describe_version(version, aliases=model.aliases)
            for model in (find_model(client, known) for known in names)
            for version in search_versions(client, model.name)
        ]
    return sorted(versions, key=lambda version: (version.name, version.version))


def fetch(
    *, name: str, alias_or_version: str | int, output_dir: str | Path, tracking_uri: str
) -> Path:
    """Bring a version's SavedModel to `output_dir/saved_model`, with `registry.json` beside it.

    An earlier fetch is replaced; a `saved_model` of another origin is not touched. What a fetch
    killed an hour ago or more left is removed.
    """
    output_dir = Path(output_dir)
    target = output_dir / "saved_model"
    if target.exists() and not (target / "assets.extra" / ORIGIN_FILE).is_file():
        raise ValueError(
            f"{target}: the folder must be absent, or an earlier fetch. "
            "Received: files of another origin. Choose another output folder."
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(output_dir)
    with (
        open_registry(tracking_uri) as client,
        _download(client, name, alias_or_version, output_dir, tracking_uri) as (fetched, origin),
    ):
        if target.exists():
            target.rename(fetched.with_name("replaced"))
        fetched.rename(target)
        _write_json(output_dir / ORIGIN_FILE, origin)
    return target


def publish(
    *, name: str, alias_or_version: str | int, base_dir: str | Path, tracking_uri: str
) -> Path:
    """Put a version's SavedModel into `base_dir/name/N`, N one more than the highest there.

    It appears whole, by one rename. If the highest is already this version, nothing is done but
    saying so, and its path is returned. What a publish killed an hour ago or more left is removed.
    """
    model_dir = Path(base_dir) / name
    _remove_abandoned(model_dir)
    with open_registry(tracking_uri) as client:
        version = find_version(client, name, alias_or_version)
        newest = [model_dir / str(number) for number in version_numbers(model_dir)[-1:]]
        if newest and _is_same(newest[0], version):
            _log.info(
                "%s is already version %s of %s: nothing to publish",
                newest[0],
                version.version,
                name,
            )
            return newest[0]
        model_dir.mkdir(parents=True, exist_ok=True)
        with _download(client, name, alias_or_version, model_dir, tracking_uri) as (fetched, _):
            return put_into_place(fetched, model_dir)


def publish_to_store(
    *, name: str, alias_or_version: str | int, base_url: str, tracking_uri: str
) -> str:
    """As `publish`, below an address on an object store, always as a new number; its address.

    Files are written in an order that is safe for TF Serving, see `export.object_store`.
    """
    with (
        open_registry(tracking_uri) as client,
        tempfile.TemporaryDirectory() as folder,
        _download(client, name, alias_or_version, Path(folder), tracking_uri) as (fetched, _),
    ):
        return object_store.publish_to_store(fetched, f"{base_url.rstrip('/')}/{name}")


def read_origin(saved_model_dir: str | Path) -> dict[str, Any] | None:
    """Name, version, alias, run_id and model_id of a fetched or published SavedModel, or None."""
    path = Path(saved_model_dir) / "assets.extra" / ORIGIN_FILE
    try:
        origin: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return origin


def _ensure_name(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _describe_version(version: Any, *, aliases: Mapping[str, Any]) -> RegisteredVersion:
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        aliases=tuple(sorted(a for a, v in aliases.items() if str(v) == str(version.version))),
        metrics={
            key.removeprefix(_METRIC_TAG): float(value)
            for key, value in version.tags.items()
            if key.startswith(_METRIC_TAG)
        },
        tags={
            key: value
            for key, value in version.tags.items()
            if not key.startswith(_METRIC_TAG) and key != _MODEL_TAG
        },
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
        run_id=version.run_id or None,
        model_id=version.tags.get(_MODEL_TAG),
    )


@contextlib.contextmanager
def _download(
    client: Any, name: str, alias_or_version: str | int, parent: Path, tracking_uri: str
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A version's SavedModel, ready to be renamed, in a hidden folder of `parent`; its origin."""
    from mlflow.artifacts import download_artifacts

    version = find_version(client, name, alias_or_version)
    address = client.get_model_version_download_uri(name, version.version).rstrip("/")
    folder = Path(tempfile.mkdtemp(prefix=_DOWNLOAD_PREFIX, dir=parent))
    try:
        uris: dict[str, Any] = {"tracking_uri": tracking_uri, "registry_uri": tracking_uri}
        description = download_artifacts(f"{address}/MLmodel", dst_path=str(folder), **uris)
        flavor = yaml.safe_load(Path(description).read_text(encoding="utf-8"))["flavors"]
        artifact = flavor.get("python_function", {}).get("artifacts", {}).get("saved_model")
        if artifact is None:
            raise ValueError(
                f"{name} {version.version}: a version must carry the artifact saved_model. "
                "Received: none. "
                "Register it with `bert-tf registry register`."
            )
        path = download_artifacts(
            f"{address}/{artifact['path']}", dst_path=str(folder / "model"), **uris
        )
        alias = None if str(alias_or_version).isdigit() else alias_or_version
        origin = {**_origin(version), "alias": alias}
        (Path(path) / "assets.extra").mkdir(exist_ok=True)
        _write_json(Path(path) / "assets.extra" / ORIGIN_FILE, origin)
        yield Path(path), origin
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{_DOWNLOAD_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _origin(version: Any) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": int(version.version),
        "run_id": version.run_id,
        "model_id": version.tags.get(_MODEL_TAG),
    }


def _is_same(published: Path, version: Any) -> bool:
    origin = read_origin(published)
    return origin is not None and all(origin[k] == v for k, v in _origin(version).items())


def _existing(path: str | Path) -> Path:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: a file to register must exist. Received: no such file.")
    return Path(path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False))
