"""Looks up models and versions in an MLflow registry; its errors name those there are.

Errors: ValueError for what the registry does not have or does not take and for a damaged database,
ConnectionError when it does not answer or is locked.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from bert_tf.config.registry_names import name_fault
from bert_tf.exporting.version_folders import listed_versions
from bert_tf.registry.lock import PREFIX as LOCK_PREFIX
from bert_tf.system.known_errors import is_of_database, message_of
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint
from bert_tf.tracking.sender import without_password

SAVED_MODEL, MODEL_FOLDER = "saved_model", "model_folder"
"""Artifacts of a version: what is served, and what training goes on from."""
MODEL_TAG = "bert_tf.model_id"
"""Of a version: MLflow's own database does not keep its model_id."""


@contextlib.contextmanager
def open_registry(tracking_uri: str) -> Iterator[Any]:
    """A client of the registry; its errors become this module's."""
    import requests
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        yield MlflowClient(tracking_uri, registry_uri=tracking_uri)
    except (MlflowException, requests.RequestException) as error:
        message = without_password(" ".join(str(error).split()))[:500]
        if isinstance(error, MlflowException) and error.get_http_status_code() < 500:
            raise ValueError(f"the registry refused this. Received: {message}") from error
        raise ConnectionError(
            f"{without_password(tracking_uri)}: the MLflow server must answer. "
            f"Received: {message}. See that it runs and that MLFLOW_TRACKING_URI names it."
        ) from error
    except Exception as error:
        if not is_of_database(error):
            raise
        message = f"{without_password(tracking_uri)}: {message_of(error)}"
        if "locked" in str(error):
            raise ConnectionError(message) from error
        raise ValueError(message) from error


def find_model(client: Any, name: str) -> Any:
    """The registered model, with its aliases. The error names the models there are."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        # Of a name that it does not take, MLflow does not look whether the database has it.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        known = {model.name: model for model in search_models(client)}
        if name in known:
            return known[name]
        raise ValueError(
            f"the model must be registered. Received: {name!r}. "
            f"Registered: {listed(sorted(known), max_items=20) or 'nothing yet'}."
            f"{alike_hint(name, known)}"
        ) from error


def find_version(client: Any, name: str, alias_or_version: str | int) -> Any:
    """The version with this number or alias. The error names the ones there are."""
    model = find_model(client, name)
    wanted = str(alias_or_version)
    versions = {str(version.version): version for version in search_versions(client, name)}
    number = wanted if wanted.isdigit() else str(model.aliases.get(wanted))
    if number not in versions:
        aliases = [f"{alias} ({version})" for alias, version in sorted(model.aliases.items())]
        raise ValueError(
            f"{name} must have the version or alias asked for. Received: {wanted!r}. "
            f"Versions: {listed_versions(map(int, versions))}; "
            f"aliases: {listed(aliases) or 'none'}.{alike_hint(wanted, model.aliases)}"
        )
    return versions[number]


def search_models(client: Any) -> Iterator[Any]:
    """All registered models, locks left out."""
    models = _all_pages(client.search_registered_models)
    return (model for model in models if not model.name.startswith(LOCK_PREFIX))


def search_versions(client: Any, name: str) -> Iterator[Any]:
    """All versions of the model `name`, whatever tool gave it that name.

    MLflow's filters know no way to write a quotation mark: of such names all versions are read.
    """
    options = {} if name_fault(name) else {"filter_string": f"name = '{name}'"}
    versions = _all_pages(client.search_model_versions, **options)
    return (version for version in versions if version.name == name)


def search_all_versions(client: Any) -> Iterator[Any]:
    """All versions of all registered models."""
    return _all_pages(client.search_model_versions)


def _all_pages(search: Any, **options: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(page_token=token, **options)
        yield from page
        token = page.token
        if not token:
            return
