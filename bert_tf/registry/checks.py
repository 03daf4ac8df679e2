"""Checks what a version is to be registered with, before a run, a model or a version is made."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bert_tf.system.lookalikes import path_hint

_METRIC_TAG = "metric."
"""Begins the tag of a version that holds one of its metrics."""


def checked_files(paths: Iterable[str | Path]) -> list[Path]:
    """`paths`, all of which exist, no two with one name.

    Raises:
        FileNotFoundError: one does not exist.
        ValueError: two would become one file of the run.
    """
    files: dict[str, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: a file to register must exist. Received: no such file. Leave it out."
                f"{path_hint(path)}"
            )
        if path.name in files and files[path.name] != path:
            raise ValueError(
                f"files to register must have different names. Received: {files[path.name]} and "
                f"{path}. Rename one."
            )
        files[path.name] = path
    return [*files.values()]


def checked_metrics(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """`metrics` as MLflow takes them.

    Raises:
        ValueError: a value is no number, or a name none that MLflow takes.
    """
    from mlflow.utils.validation import _validate_metric_name

    checked = {}
    for key, value in (metrics or {}).items():
        _told(_validate_metric_name, key)
        try:
            checked[key] = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"a metric must be a number. Received: {key}={value!r}. Leave it out."
            ) from error
    return checked


def checked_tags(tags: Mapping[str, Any] | None, metrics: Mapping[str, float]) -> dict[str, str]:
    """The tags of a version: `tags`, and its metrics as tags.

    Raises:
        ValueError: MLflow does not take one.
    """
    from mlflow.utils.validation import _validate_model_version_tag

    checked = {str(key): str(value) for key, value in (tags or {}).items()}
    checked |= {f"{_METRIC_TAG}{key}": repr(value) for key, value in metrics.items()}
    for key, value in checked.items():
        _told(_validate_model_version_tag, key, value)
    return checked


def parted_tags(tags: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics and tags, of tags as `checked_tags` made them; what is no number stays a tag."""
    metrics, others = {}, {}
    for key, value in tags.items():
        number = _as_number(value) if key.startswith(_METRIC_TAG) else None
        if number is None:
            others[key] = value
        else:
            metrics[key.removeprefix(_METRIC_TAG)] = number
    return metrics, others


def check_experiment(name: str) -> None:
    """Raises ValueError where MLflow makes no experiment of this name."""
    from mlflow.utils.validation import _validate_experiment_name

    _told(_validate_experiment_name, name)


def _as_number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _told(check: Any, *arguments: Any) -> None:
    """The error of MLflow's check as this package's."""
    from mlflow.exceptions import MlflowException

    try:
        check(*arguments)
    except MlflowException as error:
        raise ValueError(f"MLflow must take what is registered. Received: {error}") from error
