"""One SavedModel in memory: named arrays in, named arrays out.

The graph runs in a session, with the feeds and fetches of the signature, as TensorFlow Serving
runs it: no Python object of the model is rebuilt, an output that is not asked for is not
computed, and a deadline stops the graph.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# Registers its ops, which stock TensorFlow Serving links in as well.
import tensorflow_text  # noqa: F401
from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2
from tensorflow.python.client import pywrap_tf_session as tf_session

from serving import errors
from serving.formats import tensor_protos
from serving.server.batching import batch_signatures
from serving.server.metrics import Metrics, ModelMetrics
from serving.server.model_config import LoadSettings

DEFAULT_SIGNATURE_NAME = "serving_default"
_MAX_TIMEOUT_IN_MS = 2**31 - 1


class Servable:
    """A loaded SavedModel whose signatures can be called from several threads at once.

    `signatures` maps names to `SignatureDef`s as the file has them. When the directory does not
    load, any exception may come; `error_from_loading` turns it into a `ServingError`.
    """

    def __init__(
        self,
        directory: Path,
        loading: LoadSettings | None = None,
        *,
        metrics: ModelMetrics | None = None,
    ) -> None:
        loading = loading or LoadSettings()
        self.metrics = metrics or ModelMetrics(Metrics(), "")
        self._found: dict[str, Any] = {}
        self.directory = directory
        self.checks_method_names = loading.checks_method_names
        if not (directory / "saved_model.pb").is_file():
            raise errors.NotFoundError(
                f"Could not find SavedModel .pb at supplied export directory path: {directory}. "
                "A version must appear whole: write it elsewhere and rename it into place."
            )
        options = tf.compat.v1.ConfigProto(
            allow_soft_placement=True,
            intra_op_parallelism_threads=loading.intra_op_threads,
            inter_op_parallelism_threads=loading.inter_op_threads,
        )
        options.gpu_options.allow_growth = True
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
        try:
            meta_graph = tf.compat.v1.saved_model.load(self._session, loading.tags, str(directory))
            self.signatures: dict[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
            self._called = self.signatures
            if loading.batching is not None:
                served = {name: s for name, s in self.signatures.items() if s.inputs}
                self._called = self.signatures | batch_signatures(
                    self._session.graph, served, loading.batching
                )
            self._session.graph.finalize()
            self._session._extend_graph()
        except BaseException:
            self.close()
            raise

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature_name: str = "",
        output_names: Sequence[str] = (),
        timeout_seconds: float | None = None,
        api: str = "Predict",
    ) -> dict[str, np.ndarray]:
        """Runs one signature.

        `output_names` limits what is computed and returned; empty means every output. `api` is what
        the metrics call it.

        Raises `FailedPreconditionError` for an unknown signature, `InvalidArgumentError` for
        inputs that do not fit it, `DeadlineExceededError` after `timeout_seconds`, and whatever
        code an op of the graph fails with.
        """
        signature = self.find_signature(signature_name)
        inputs = {**_defaults(signature, inputs), **inputs}
        check_input_names(inputs, signature)
        for name, array in inputs.items():
            if array.ndim > tensor_protos.MAX_RANK:  # of rows, each of which may have as many
                raise errors.InvalidArgumentError(
                    f"input {name!r} must have at most {tensor_protos.MAX_RANK} dimensions. "
                    f"Received: {array.ndim}."
                )
        called = self._called[signature_name or DEFAULT_SIGNATURE_NAME]
        names = _choose_outputs(signature, output_names)
        started_at = time.monotonic()
        values = self.run(
            _feeds(called, inputs),
            [called.outputs[name].name for name in names],
            timeout_seconds=timeout_seconds,
        )
        self.metrics.note_run(api, time.monotonic() - started_at)
        return dict(zip(names, values, strict=True))

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        *,
        timeout_seconds: float | None = None,
    ) -> list[np.ndarray]:
        """Runs the graph between tensors, by name; the errors are those of `predict`.

        `Session.run` compares what is fed with the shapes that the graph declares, which
        ModelServer does not: `y = x / 2 + 2` takes any shape of `x` there. So the call below it is
        used, which lets the graph itself decide.
        """
        if wrong := sorted(set(feeds) & set(fetches)):
            raise errors.InvalidArgumentError(f"{wrong[0]} is both fed and fetched.")
        options = tf.compat.v1.RunOptions()
        if timeout_seconds is not None:
            if timeout_seconds <= 0:
                raise errors.DeadlineExceededError("Deadline exceeded before the model ran.")
            # gRPC tells "no deadline" by centuries, which the field cannot hold.
            milliseconds = min(timeout_seconds * 1000, _MAX_TIMEOUT_IN_MS)
            options.timeout_in_ms = max(1, int(milliseconds))
        buffer = tf_session.TF_NewBufferFromString(options.SerializeToString())
        try:
            values = self._session._call_tf_sessionrun(
                buffer,
                {self._find_output(name): array for name, array in feeds.items()},
                [self._find_output(name) for name in fetches],
                [],
                None,
            )
        except tf.errors.OpError as error:
            raise error_from_op_error(error) from error
        finally:
            tf_session.TF_DeleteBuffer(buffer)
        return [_as_array(value) for value in values]

    def _find_output(self, name: str) -> Any:
        """Looked up once: TensorFlow reads the name anew each time, which is work for each request.

        Names come from signatures, of which there are few.
        """
        found = self._found.get(name)
        if found is not None:
            return found
        try:
            found = self._session.graph.get_tensor_by_name(name)._as_tf_output()
            self._found[name] = found
            return found
        except (KeyError, ValueError) as error:  # such as an operation without outputs
            raise errors.InvalidArgumentError(
                f"Tried to fetch data for {name!r}, which produces no output."
            ) from error

    def find_signature(self, signature_name: str = "") -> meta_graph_pb2.SignatureDef:
        """Returns the named signature; an empty name means the default one."""
        key = signature_name or DEFAULT_SIGNATURE_NAME
        if key not in self.signatures:
            raise errors.FailedPreconditionError(
                f'Serving signature key "{key}" not found. '
                f"The model has: {', '.join(self.signature_names())}."
            )
        return self.signatures[key]

    def signature_names(self) -> list[str]:
        """Names of the signatures that take requests, sorted."""
        return sorted(name for name, signature in self.signatures.items() if signature.inputs)

    def close(self) -> None:
        """Frees the variables. No call may be running or follow."""
        self._session.close()


def error_from_op_error(error: tf.errors.OpError) -> errors.ServingError:
    """Turns TensorFlow's error into ours: same code, message without Python's traces."""
    code = error_codes_pb2.Code.Name(error.error_code)
    message = (error.message or str(error)).split("\n\nOriginal stack trace", 1)[0]
    message = message.removeprefix("Graph execution error:").strip()
    return errors.error_for_code(code, message)


def error_from_loading(error: Exception) -> errors.ServingError:
    """Turns whatever a directory that does not load raises into ours."""
    if isinstance(error, errors.ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        return error_from_op_error(error)
    if isinstance(error, PermissionError):
        return errors.error_for_code("PERMISSION_DENIED", str(error))
    if isinstance(error, OSError):
        return errors.DataLossError(str(error))
    return errors.InvalidArgumentError(f"{type(error).__name__}: {error}")


def _feeds(
    signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    feeds = {signature.inputs[name].name: array for name, array in inputs.items()}
    if len(feeds) < len(inputs):
        raise errors.InvalidArgumentError("A tensor is fed more than once, by two inputs.")
    return feeds


def _defaults(
    signature: meta_graph_pb2.SignatureDef, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The values that a signature has for inputs that are not sent."""
    if not signature.defaults or len(inputs) > len(signature.inputs):
        return {}
    if unknown := set(inputs) - set(signature.inputs):
        raise errors.InvalidArgumentError(
            f"Inputs contains invalid name. Received: {_braces(unknown)}."
        )
    missing = sorted(set(signature.inputs) - set(inputs))
    for name in missing:
        if name not in signature.defaults:
            raise errors.InvalidArgumentError(
                f"Signature input alias: {name}(feed name: {signature.inputs[name].name}) "
                "not found in request and no default value provided."
            )
    return {
        name: tensor_protos.array_from_proto(signature.defaults[name], name=name)
        for name in missing
    }


def check_input_names(names: Collection[str], signature: meta_graph_pb2.SignatureDef) -> None:
    """Raises `InvalidArgumentError` unless they are the inputs of the signature."""
    sent, required = set(names), set(signature.inputs)
    if sent != required:
        raise errors.InvalidArgumentError(
            f"input size does not match signature: {len(sent)}!={len(required)} "
            f"len({_braces(sent)}) != len({_braces(required)}). "
            f"Sent extra: {_braces(sent - required)}. "
            f"Missing but required: {_braces(required - sent)}."
        )


def _as_array(value: Any) -> np.ndarray:
    """A scalar string comes as bytes, and NumPy's own bytes type would drop trailing zeros."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def _choose_outputs(
    signature: meta_graph_pb2.SignatureDef, output_names: Sequence[str]
) -> Sequence[str]:
    if not output_names:
        return sorted(signature.outputs)
    seen = set()
    for name in output_names:
        if name not in signature.outputs:
            raise errors.InvalidArgumentError(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_braces(signature.outputs)}."
            )
        if name in seen:
            raise errors.InvalidArgumentError(f"duplicate output tensor alias: {name}")
        seen.add(name)
    return output_names


def _braces(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
