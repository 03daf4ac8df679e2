"""Brings a version's SavedModel out of the registry: fetch, publish. Errors: as in the package."""

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.exporting import object_store
from bert_tf.exporting.version_folders import publish as put_into_place
from bert_tf.exporting.version_folders import version_numbers
from bert_tf.registry.lookup import (
    MODEL_FOLDER,
    MODEL_TAG,
    SAVED_MODEL,
    find_version,
    open_registry,
)
from bert_tf.system.files import hidden_folder, write_whole
from bert_tf.system.json_files import read_json
from bert_tf.system.listing import listed
from bert_tf.system.output_folder import check_base, check_folder, owned_folder
from bert_tf.system.yaml_files import read_yaml
from bert_tf.tracking.provenance import ORIGIN_FILE

_LAYOUT = {
    SAVED_MODEL: ("saved_model", f"assets.extra/{ORIGIN_FILE}"),
    MODEL_FOLDER: ("model", ORIGIN_FILE),
}
"""Of an artifact the folder it is fetched to, and the file in it that says where it came from."""

_log = logging.getLogger(__name__)


def fetch(
    *, name: str, alias_or_version: str | int, output_dir: str | Path, tracking_uri: str
) -> Path:
    """Bring a version's SavedModel to `output_dir/saved_model`, with `registry.json` beside it.

    An earlier fetch is replaced; a `saved_model` of another origin is not touched. What a killed
    fetch left is removed.
    """
    return _fetch(SAVED_MODEL, name, alias_or_version, Path(output_dir), tracking_uri)


def fetch_model(
    *, name: str, alias_or_version: str | int, output_dir: str | Path, tracking_uri: str
) -> Path:
    """As `fetch`, the model folder that a version was registered with, to `output_dir/model`.

    Raises:
        ValueError: also where it was registered without.
    """
    return _fetch(MODEL_FOLDER, name, alias_or_version, Path(output_dir), tracking_uri)


def read_files(
    *, name: str, alias_or_version: str | int, paths: Sequence[str], tracking_uri: str
) -> dict[str, bytes]:
    """Some files of a version's SavedModel; of those that it has, path -> content."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    found = {}
    with open_registry(tracking_uri) as client, tempfile.TemporaryDirectory() as folder:
        version = find_version(client, name, alias_or_version)
        uris = _uris(tracking_uri)
        address = _artifact_address(client, version, SAVED_MODEL, folder, uris)
        for path in paths:
            with contextlib.suppress(MlflowException, OSError):
                file = download_artifacts(f"{address}/{path}", dst_path=folder, **uris)
                found[path] = Path(file).read_bytes()
    return found


def _fetch(
    artifact: str, name: str, alias_or_version: str | int, output_dir: Path, tracking_uri: str
) -> Path:
    folder, origin_path = _LAYOUT[artifact]
    target = output_dir / folder
    if target.exists() and not (target / origin_path).is_file():
        raise ValueError(
            f"{target}: the folder must be absent, or an earlier fetch. "
            "Received: files of another origin. Choose another output folder."
        )
    with (
        owned_folder(output_dir, command="registry fetch"),
        open_registry(tracking_uri) as client,
        _download(client, name, alias_or_version, output_dir, tracking_uri, artifact=artifact) as (
            fetched,
            origin,
        ),
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
    saying so, and its path is returned. What a killed publish left is removed.
    """
    check_base(base_dir)
    model_dir = Path(base_dir) / name
    check_folder(model_dir, command="export")
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
        with (
            owned_folder(model_dir, command="export", is_shared=True),
            _download(client, name, alias_or_version, model_dir, tracking_uri) as (fetched, _),
        ):
            return put_into_place(fetched, model_dir)


def publish_to_store(
    *, name: str, alias_or_version: str | int, base_url: str, tracking_uri: str
) -> str:
    """As `publish`, below an address on an object store, always as a new number; its address.

    Files are written in an order that is safe for TF Serving, see `exporting.object_store`.
    """
    with (
        open_registry(tracking_uri) as client,
        tempfile.TemporaryDirectory() as folder,
        _download(client, name, alias_or_version, Path(folder), tracking_uri) as (fetched, _),
    ):
        return object_store.publish_to_store(fetched, f"{base_url.rstrip('/')}/{name}")


def read_origin(saved_model_dir: str | Path) -> dict[str, Any] | None:
    """Name, version, alias, run_id and model_id of what was fetched or published, or None."""
    for _, place in _LAYOUT.values():
        path = Path(saved_model_dir) / place
        if path.is_file():
            origin: dict[str, Any] = read_json(path, what="a note of where a version comes from")
            return origin
    return None


@contextlib.contextmanager
def _download(
    client: Any,
    name: str,
    alias_or_version: str | int,
    parent: Path,
    tracking_uri: str,
    *,
    artifact: str = SAVED_MODEL,
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A version's artifact, ready to be renamed, in a hidden folder of `parent`; its origin."""
    from mlflow.artifacts import download_artifacts

    version = find_version(client, name, alias_or_version)
    with hidden_folder(parent, prefix=".registry-") as folder:
        uris = _uris(tracking_uri)
        address = _artifact_address(client, version, artifact, str(folder), uris)
        path = Path(download_artifacts(address, dst_path=str(folder / "model"), **uris))
        alias = None if str(alias_or_version).isdigit() else alias_or_version
        origin = {**_origin(version), "alias": alias}
        origin_path = path / _LAYOUT[artifact][1]
        origin_path.parent.mkdir(exist_ok=True)
        _write_json(origin_path, origin)
        yield path, origin


def _artifact_address(
    client: Any, version: Any, artifact: str, folder: str, uris: Mapping[str, Any]
) -> str:
    """Where a version's artifact is; its description is downloaded to `folder` on the way."""
    from mlflow.artifacts import download_artifacts

    address = client.get_model_version_download_uri(version.name, version.version).rstrip("/")
    description = download_artifacts(f"{address}/MLmodel", dst_path=folder, **uris)
    flavor = read_yaml(description, what="a description of MLflow")["flavors"]
    known = flavor.get("python_function", {}).get("artifacts", {})
    if artifact not in known:
        option = " --keep-model" if artifact == MODEL_FOLDER else ""
        raise ValueError(
            f"{version.name} {version.version}: a version must carry the artifact {artifact}. "
            f"Received: {listed(known) or 'none'}. "
            f"Register it with `bert-tf registry register{option}`."
        )
    return f"{address}/{known[artifact]['path']}"


def _uris(tracking_uri: str) -> dict[str, Any]:
    return {"tracking_uri": tracking_uri, "registry_uri": tracking_uri}


def _origin(version: Any) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": int(version.version),
        "run_id": version.run_id,
        "model_id": version.tags.get(MODEL_TAG),
    }


def _is_same(published: Path, version: Any) -> bool:
    origin = read_origin(published)
    return origin is not None and all(origin[k] == v for k, v in _origin(version).items())


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False))
