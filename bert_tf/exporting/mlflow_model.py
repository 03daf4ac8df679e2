"""The MLflow entry of an exported SavedModel: `pyfunc.py`, signature, example, requirements.

In: a SavedModel folder whose default signature takes text. Out: a logged model of an MLflow run.
"""

import contextlib
import importlib.metadata
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bert_tf.models.description import DESCRIPTION_FILE, load_description
from bert_tf.tasks.row_settings import RowSetting
from bert_tf.tasks.table import task_of
from bert_tf.tracking.sender import ensure_experiment

SOURCE_RUN_TAG = "bert_tf.source_run_id"

_log = logging.getLogger(__name__)

_PYFUNC_FILE = Path(__file__).with_name("pyfunc.py")
_REQUIREMENTS = (
    ("mlflow",),
    ("tensorflow", "tensorflow-cpu"),
    ("tensorflow-text",),
    ("numpy",),
    ("pandas",),
)
_EXAMPLES = "inputs"  # of signatures that take serialised `tf.Example`s
_EXAMPLE_TEXT = "A [MASK] text."  # a model that fills masks needs one; for others it is text


@contextlib.contextmanager
def enter_run(client: Any, run_id: str | None, experiment: str) -> Iterator[Any]:
    """The run `run_id` as it is, or a new one that ends with this block.

    Where the server does not have `run_id`, the new run's tag `SOURCE_RUN_TAG` names it.
    """
    run = None if run_id is None else _find_run(client, run_id)
    if run is not None:
        yield run
        return
    tags = {}
    if run_id is not None:
        _log.warning("the tracking server does not have run %s; a new one takes its place", run_id)
        tags[SOURCE_RUN_TAG] = run_id
    experiment_id = ensure_experiment(client, experiment)
    run = client.create_run(experiment_id, run_name="register", tags=tags)
    try:
        yield run
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")


def _find_run(client: Any, run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


def log_model(
    client: Any,
    *,
    run: Any,
    name: str,
    folders: Mapping[str, Path],
    signature: Any,
    example: Any,
) -> Any:
    """`mlflow.pyfunc.log_model` without its active run and its process-wide tracking address.

    `folders` are its artifacts by name; `saved_model` is what answers. Returns the logged model, an
    output of `run`. One that cannot be written whole is FAILED.
    """
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
                artifacts={key: str(path.resolve()) for key, path in folders.items()},
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


def make_signature(saved_model_dir: Path) -> Any:
    """The default signature, as columns, with what the others take besides as optional ones.

    Of these numbers are parameters, too: one for all rows, by default what the model has.

    Raises:
        FileNotFoundError: `saved_model_dir` is no SavedModel.
        ValueError: its default signature does not take text.
    """
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
        if key != _EXAMPLES and _is_text(tensor) and key not in default.inputs
    }
    settings = _row_settings(saved_model_dir)
    kinds = {
        name: "long" if it.value.dtype.kind == "i" else "double" for name, it in settings.items()
    }
    return ModelSignature(
        inputs=Schema(
            [ColSpec(_column_type(tensor), key) for key, tensor in sorted(default.inputs.items())]
            + [ColSpec(_column_type(t), key, required=False) for key, t in sorted(optional.items())]
            + [ColSpec(kind, key, required=False) for key, kind in kinds.items()]
        ),
        outputs=Schema(
            [ColSpec(_column_type(tensor), key) for key, tensor in sorted(default.outputs.items())]
        ),
        params=ParamSchema(
            [
                ParamSpec("signature_name", "string", "serving_default"),
                *(ParamSpec(key, kind, settings[key].value.item()) for key, kind in kinds.items()),
            ]
        ),
    )


def _row_settings(saved_model_dir: Path) -> Mapping[str, RowSetting]:
    """What some signatures take beside texts."""
    extra = saved_model_dir / "assets.extra"
    if not (extra / DESCRIPTION_FILE).is_file():
        return {}
    description = load_description(extra)
    task = task_of(description)
    return {} if task is None else task.row_settings(description)


def _read_signatures(saved_model_dir: Path) -> dict[str, Any]:
    from bert_tf.exporting.loading import read_graph

    return dict(read_graph(saved_model_dir).signature_def)


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


def make_example(input_example: Any, *, signature: Any) -> Any:
    """A DataFrame, texts for the one input, or None (a row of text) as a DataFrame."""
    import pandas as pd

    names = signature.inputs.required_input_names()
    if input_example is None:
        return pd.DataFrame({name: [_EXAMPLE_TEXT] for name in names})
    if isinstance(input_example, pd.DataFrame):
        return input_example
    texts = [input_example] if isinstance(input_example, str) else list(input_example)
    return pd.DataFrame({names[0]: texts})


def check_example(saved_model_dir: Path, *, example: Any) -> None:
    """Answer `example` once, with the code that the registry will run.

    Raises:
        ValueError: the model does not load, or has no answer.
    """
    from mlflow.pyfunc import PythonModelContext

    from bert_tf.exporting.pyfunc import TextModel

    model = TextModel()
    artifacts = {"saved_model": str(saved_model_dir)}
    try:
        model.load_context(PythonModelContext(artifacts=artifacts, model_config=None))
        model.predict(None, example)
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        raise ValueError(
            f"{saved_model_dir}: the model must answer the example. Received: {message}. "
            "Give an example that it takes, or export the model again."
        ) from error


def _pin_requirements() -> list[str]:
    pins = []
    for names in _REQUIREMENTS:
        for name in names:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                pins.append(f"{name}=={importlib.metadata.version(name)}")
                break
    return pins
