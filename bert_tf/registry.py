"""The model registry: exported SavedModels as versions of named MLflow models.

    register   a SavedModel becomes a version: pyfunc, signature, metrics, files
    promote    an alias moves to a version; `champion` leaves `previous` behind
    fetch      a version's SavedModel comes back into a folder
    publish    a version's SavedModel becomes BASE/NAME/N, where TF Serving finds it

Every SavedModel that leaves the registry says where it came from in `assets.extra/registry.json`.
All functions take `tracking_uri` and use no MLflow state of the process.

Errors: ValueError for what the registry does not have or does not take, ConnectionError when it
does not answer.
"""

import contextlib
import importlib.metadata
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

CHAMPION = "champion"
PREVIOUS = "previous"
ORIGIN_FILE = "registry.json"

_log = logging.getLogger(__name__)

_PYFUNC_FILE = Path(__file__).parent / "export" / "pyfunc.py"
_METRIC_TAG = "metric."
_MODEL_TAG = "bert_tf.model_id"  # MLflow's own database does not keep a version's model_id
_REQUIREMENTS = (
    ("mlflow",),
    ("tensorflow", "tensorflow-cpu"),
    ("tensorflow-text",),
    ("numpy",),
    ("pandas",),
)


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

    It is logged into the run `run_id`, or into a new one of `experiment`; `files` go into the
    run's folder `files`. `metrics` and `tags` are kept with the version. `input_example` is a
    DataFrame, or texts for the one input; default: a row of plain text.
    """
    saved_model_dir = Path(saved_model_dir)
    signature = _make_signature(saved_model_dir)
    files = [_existing(path) for path in files]
    with _open_registry(tracking_uri) as client, _enter_run(client, run_id, experiment) as run:
        if run_id is None:
            for key, value in (metrics or {}).items():
                client.log_metric(run.info.run_id, key, float(value))
        for path in files:
            client.log_artifact(run.info.run_id, str(path), "files")
        _ensure_name(client, name)
        example = _as_example(input_example, signature=signature)
        model = _log_model(client, run, name, saved_model_dir, signature, example)
        version = client.create_model_version(
            name,
            source=model.artifact_location,  # models:/ID is looked up in the process's default
            run_id=run.info.run_id,
            model_id=model.model_id,
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
    *, name: str, version: int | str, alias: str = CHAMPION, tracking_uri: str
) -> RegisteredVersion:
    """Move `alias` to `version`. The version that was `champion` becomes `previous`."""
    with _open_registry(tracking_uri) as client:
        chosen = _find_version(client, name, version)
        aliases = client.get_registered_model(name).aliases
        holder = aliases.get(alias)
        if holder != chosen.version:
            if alias == CHAMPION and holder is not None:
                client.set_registered_model_alias(name, PREVIOUS, holder)
            client.set_registered_model_alias(name, alias, chosen.version)
        return _describe_version(chosen, aliases=client.get_registered_model(name).aliases)


def list_versions(*, name: str | None = None, tracking_uri: str) -> list[RegisteredVersion]:
    """Versions of `name`, or of all models, by name and number."""
    with _open_registry(tracking_uri) as client:
        if name is None:
            names = [model.name for model in _all(client.search_registered_models)]
        else:
            names = [name]
        versions = [
            _describe_version(version, aliases=model.aliases)
            for model in (_find_model(client, known) for known in names)
            for version in _all(client.search_model_versions, filter_string=_named(model.name))
        ]
    return sorted(versions, key=lambda version: (version.name, version.version))


def fetch(
    *, name: str, alias_or_version: str | int, output_dir: str | Path, tracking_uri: str
) -> Path:
    """Bring a version's SavedModel to `output_dir/saved_model`, with `registry.json` beside it.

    An earlier fetch is replaced; a `saved_model` of another origin is not touched.
    """
    output_dir = Path(output_dir)
    target = output_dir / "saved_model"
    if target.exists() and not (target / "assets.extra" / ORIGIN_FILE).is_file():
        raise ValueError(
            f"{target}: the folder must be absent, or an earlier fetch. "
            "Received: files of another origin. Choose another output folder."
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    with (
        _open_registry(tracking_uri) as client,
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
    saying so, and its path is returned.
    """
    model_dir = Path(base_dir) / name
    with _open_registry(tracking_uri) as client:
        version = _find_version(client, name, alias_or_version)
        newest = _newest_number(model_dir)
        if newest and _is_same(model_dir / str(newest), version):
            _log.info(
                "%s is already version %s of %s: nothing to publish",
                model_dir / str(newest),
                version.version,
                name,
            )
            return model_dir / str(newest)
        model_dir.mkdir(parents=True, exist_ok=True)
        with _download(client, name, alias_or_version, model_dir, tracking_uri) as (fetched, _):
            while True:
                target = model_dir / str(_newest_number(model_dir) + 1)
                try:
                    fetched.rename(target)  # fails where another publish was faster
                except OSError:
                    if not target.exists():
                        raise
                else:
                    return target


def _log_model(
    client: Any, run: Any, name: str, saved_model_dir: Path, signature: Any, example: Any
) -> Any:
    """`mlflow.pyfunc.log_model` without its active run and its process-wide tracking address."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    run_id, experiment_id = run.info.run_id, run.info.experiment_id
    logged = client.create_logged_model(experiment_id, name=name, source_run_id=run_id)
    try:
        with tempfile.TemporaryDirectory() as folder:
            mlflow.pyfunc.save_model(
                path=f"{folder}/model",
                python_model=str(_PYFUNC_FILE),
                artifacts={"saved_model": str(saved_model_dir.resolve())},
                signature=signature,
                input_example=example,
                pip_requirements=_pin_requirements(),
                mlflow_model=Model(
                    artifact_path=logged.artifact_location,
                    model_uuid=logged.model_id,
                    run_id=run_id,
                    model_id=logged.model_id,
                ),
            )
            client.log_model_artifacts(logged.model_id, f"{folder}/model")
    except BaseException:
        client.finalize_logged_model(logged.model_id, "FAILED")
        raise
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def _make_signature(saved_model_dir: Path) -> Any:
    """The default signature, as columns, with the text inputs of the others as optional ones."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    signatures = _read_signatures(saved_model_dir)
    default = signatures.get("serving_default")
    if default is None or not all(_is_text(tensor) for tensor in default.inputs.values()):
        raise ValueError(
            f"{saved_model_dir}: the signature serving_default must take text. Received: "
            f"{sorted(default.inputs) if default else 'no such signature'}. "
            "Export the model with its tokenizer."
        )
    optional = {
        key: tensor
        for other in signatures.values()
        for key, tensor in other.inputs.items()
        if key.startswith("text") and _is_text(tensor) and key not in default.inputs
    }
    return ModelSignature(
        inputs=Schema(
            [ColSpec(_column_type(tensor), key) for key, tensor in sorted(default.inputs.items())]
            + [ColSpec(_column_type(t), key, required=False) for key, t in sorted(optional.items())]
        ),
        outputs=Schema(
            [ColSpec(_column_type(tensor), key) for key, tensor in sorted(default.outputs.items())]
        ),
        params=ParamSchema([ParamSpec("signature_name", "string", "serving_default")]),
    )


def _read_signatures(saved_model_dir: Path) -> dict[str, Any]:
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved_model_dir / "saved_model.pb"
    if not path.is_file():
        raise FileNotFoundError(
            f"{saved_model_dir}: a SavedModel folder must hold saved_model.pb. "
            "Received: none. Give the folder that `bert-tf export` wrote, version included."
        )
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (graph,) = (graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags)
    return dict(graph.signature_def)


def _is_text(tensor: Any) -> bool:
    import tensorflow as tf

    return bool(tensor.dtype == tf.string.as_datatype_enum)


def _column_type(tensor: Any) -> Any:
    """Scalars of a row as an MLflow type, vectors as an array of it."""
    import tensorflow as tf
    from mlflow.types import DataType
    from mlflow.types.schema import Array

    kind: Any = {
        "string": DataType.string,
        "bool": DataType.boolean,
        "int32": DataType.integer,
        "int64": DataType.long,
        "float64": DataType.double,
    }.get(tf.as_dtype(tensor.dtype).name, DataType.float)
    for _ in tensor.tensor_shape.dim[1:]:
        kind = Array(kind)
    return kind


def _as_example(input_example: Any, *, signature: Any) -> Any:
    import pandas as pd

    names = signature.inputs.required_input_names()
    if input_example is None:
        return pd.DataFrame({name: ["A text."] for name in names})
    if isinstance(input_example, pd.DataFrame):
        return input_example
    texts = [input_example] if isinstance(input_example, str) else list(input_example)
    return pd.DataFrame({names[0]: texts})


def _pin_requirements() -> list[str]:
    pins = []
    for names in _REQUIREMENTS:
        for name in names:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                pins.append(f"{name}=={importlib.metadata.version(name)}")
                break
    return pins


@contextlib.contextmanager
def _open_registry(tracking_uri: str) -> Iterator[Any]:
    import requests
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri, registry_uri=tracking_uri)
    except (MlflowException, requests.RequestException) as error:
        message = _without_password(" ".join(str(error).split()))[:500]
        if isinstance(error, MlflowException) and error.get_http_status_code() < 500:
            raise ValueError(f"the registry refused this. Received: {message}") from error
        raise ConnectionError(
            f"{_without_password(tracking_uri)}: the MLflow server must answer. "
            f"Received: {message}. See that it runs and that MLFLOW_TRACKING_URI names it."
        ) from error


@contextlib.contextmanager
def _enter_run(client: Any, run_id: str | None, experiment: str) -> Iterator[Any]:
    """The run `run_id` as it is, or a new one that ends with this block."""
    if run_id is not None:
        yield client.get_run(run_id)
        return
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    run = client.create_run(experiment_id, run_name="register")
    try:
        yield run
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")


def _ensure_name(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _find_model(client: Any, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        names = sorted(model.name for model in _all(client.search_registered_models))
        raise ValueError(
            f"the model must be registered. Received: {name!r}. "
            f"Registered: {', '.join(names) or 'nothing yet'}."
        ) from error


def _find_version(client: Any, name: str, alias_or_version: str | int) -> Any:
    model = _find_model(client, name)
    wanted = str(alias_or_version)
    found = _all(client.search_model_versions, filter_string=_named(name))
    numbers = sorted((version.version for version in found), key=int)
    number = wanted if wanted.isdigit() else str(model.aliases.get(wanted))
    if number not in map(str, numbers):
        aliases = [f"{alias} ({version})" for alias, version in sorted(model.aliases.items())]
        raise ValueError(
            f"{name} must have the version or alias asked for. Received: {wanted!r}. "
            f"Versions: {', '.join(map(str, numbers)) or 'none'}; "
            f"aliases: {', '.join(aliases) or 'none'}."
        )
    return client.get_model_version(name, number)


def _named(name: str) -> str:
    return f"name = '{name}'"


def _all(search: Any, **options: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(page_token=token, **options)
        yield from page
        token = page.token
        if not token:
            return


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

    version = _find_version(client, name, alias_or_version)
    address = client.get_model_version_download_uri(name, version.version).rstrip("/")
    folder = Path(tempfile.mkdtemp(prefix=".registry-", dir=parent))
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


def _origin(version: Any) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": int(version.version),
        "run_id": version.run_id,
        "model_id": version.tags.get(_MODEL_TAG),
    }


def _newest_number(model_dir: Path) -> int:
    folders = model_dir.iterdir() if model_dir.is_dir() else iter(())
    return max((int(folder.name) for folder in folders if folder.name.isdigit()), default=0)


def _is_same(published: Path, version: Any) -> bool:
    try:
        text = (published / "assets.extra" / ORIGIN_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    origin = json.loads(text)
    return all(origin[key] == value for key, value in _origin(version).items())


def _existing(path: str | Path) -> Path:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: a file to register must exist. Received: no such file.")
    return Path(path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    temporary.replace(path)


def _without_password(text: str) -> str:
    return re.sub(r"://[^/@\s]+@", "://", text)
