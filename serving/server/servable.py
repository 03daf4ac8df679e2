"""One SavedModel in memory: named arrays in, named arrays out.

The graph runs in a session, with the feeds and fetches of the signature, as TensorFlow Serving
runs it: no Python object of the model is rebuilt, an output that is not asked for is not
computed, and a deadline stops the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

# Registers its ops, which stock TensorFlow Serving links in as well.
import tensorflow_text  # noqa: F401
from tensorflow.core.framework import tensor_shape_pb2
from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2

from serving import errors
from serving.formats import tensors
from serving.server.batching import BatchingSettings, batch_signatures

DEFAULT_SIGNATURE_NAME = "serving_default"
_MAX_TIMEOUT_IN_MS = 2**31 - 1


class Servable:
    """A loaded SavedModel whose signatures can be called from several threads at once.

    `signatures` maps names to `SignatureDef`s as the file has them. With `batching`, calls that
    come together run together. When the directory does not load, any exception may come;
    `error_from_loading` turns it into a `ServingError`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        batching: BatchingSettings | None = None,
        session_parallelism: int = 0,
    ) -> None:
        self.directory = directory
        if not (directory / "saved_model.pb").is_file():
            raise errors.NotFoundError(
                f"Could not find SavedModel .pb at supplied export directory path: {directory}. "
                "A version must appear whole: write it elsewhere and rename it into place."
            )
        options = tf.compat.v1.ConfigProto(
            allow_soft_placement=True,
            intra_op_parallelism_threads=session_parallelism,
            inter_op_parallelism_threads=session_parallelism,
        )
        options.gpu_options.allow_growth = True
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options)
        try:
            meta_graph = tf.compat.v1.saved_model.load(
                self._session, [tf.saved_model.SERVING], str(directory)
            )
            self.signatures: dict[str, meta_graph_pb2.SignatureDef] = dict(meta_graph.signature_def)
            self._called = self.signatures
            if batching is not None:
                served = {name: s for name, s in self.signatures.items() if s.inputs}
                self._called = batch_signatures(self._session.graph, served, batching)
            graph = self._session.graph
            self._placeholders = {
                info.name
                for signature in (*self.signatures.values(), *self._called.values())
                for info in signature.inputs.values()
                if graph.get_tensor_by_name(info.name).op.type == "Placeholder"
            }
            graph.finalize()
        except Exception:
            self._session.close()
            raise

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature_name: str = "",
        output_names: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Runs one signature.

        `output_names` limits what is computed and returned; empty means every output.

        Raises `FailedPreconditionError` for an unknown signature, `InvalidArgumentError` for
        inputs that do not fit it, `DeadlineExceededError` after `timeout_seconds`, and whatever
        code an op of the graph fails with.
        """
        signature = self.find_signature(signature_name)
        _check_inputs(inputs, signature, self._placeholders)
        signature = self._called[signature_name or DEFAULT_SIGNATURE_NAME]
        fetches = {
            name: signature.outputs[name].name for name in _choose_outputs(signature, output_names)
        }
        feeds = {signature.inputs[name].name: array for name, array in inputs.items()}
        options = tf.compat.v1.RunOptions()
        if timeout_seconds is not None:
            if timeout_seconds <= 0:
                raise errors.DeadlineExceededError("Deadline exceeded before the model ran.")
            # gRPC tells "no deadline" by centuries, which the field cannot hold.
            milliseconds = min(timeout_seconds * 1000, _MAX_TIMEOUT_IN_MS)
            options.timeout_in_ms = max(1, int(milliseconds))
        try:
            if all(name in self._placeholders for name in feeds):
                return self._session.run(fetches, feeds, options=options)
            return self._run_unchecked(fetches, feeds)
        except tf.errors.OpError as error:
            raise error_from_op_error(error) from error

    def _run_unchecked(
        self, fetches: Mapping[str, str], feeds: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Feeds tensors that an op computes, as signatures of TensorFlow 1 ask for.

        TensorFlow Serving takes any shape for these, and so must this. There is no deadline.
        """
        names, tensor_names = list(fetches), list(feeds)
        run = self._session.make_callable([fetches[name] for name in names], tensor_names)
        values = run(*(feeds[name] for name in tensor_names))
        return dict(zip(names, values, strict=True))

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


def _check_inputs(
    inputs: Mapping[str, np.ndarray],
    signature: meta_graph_pb2.SignatureDef,
    placeholders: Collection[str],
) -> None:
    sent, required = set(inputs), set(signature.inputs)
    if sent != required:
        raise errors.InvalidArgumentError(
            f"input size does not match signature: {len(sent)}!={len(required)} "
            f"len({_braces(sent)}) != len({_braces(required)}). "
            f"Sent extra: {_braces(sent - required)}. "
            f"Missing but required: {_braces(required - sent)}."
        )
    for name, array in inputs.items():
        info = signature.inputs[name]
        if array.dtype != tf.dtypes.as_dtype(info.dtype).as_numpy_dtype:
            raise errors.InvalidArgumentError(
                f"Expects input {name!r} to be {tensors.type_name(info.dtype)} but "
                f"{tensors.type_name(tf.dtypes.as_dtype(array.dtype).as_datatype_enum)} "
                "is provided."
            )
        if info.name in placeholders and not _shape_fits(array.shape, info.tensor_shape):
            expected = tf.TensorShape(info.tensor_shape)
            raise errors.InvalidArgumentError(
                f"Expects input {name!r} to have shape {expected} but "
                f"{tf.TensorShape(array.shape)} is provided."
            )


def _shape_fits(shape: tuple[int, ...], expected: tensor_shape_pb2.TensorShapeProto) -> bool:
    if expected.unknown_rank:
        return True
    sizes = [dimension.size for dimension in expected.dim]
    return len(shape) == len(sizes) and all(
        wanted in (-1, size) for size, wanted in zip(shape, sizes, strict=True)
    )


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
