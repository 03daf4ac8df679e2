"""Predict, Classify and Regress: a request's messages in, what the model answers out.

    Input{example_list{[x, y]}} -> serialised tf.Examples (batch,) -> signature -> results

The wording of the errors is TensorFlow Serving's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    predict_pb2,
    regression_pb2,
)

from serving import errors
from serving.formats.tensor_protos import array_from_proto, write_shape
from serving.server.servable import (
    DEFAULT_SIGNATURE_NAME,
    Servable,
    check_input_names,
)

_MAX_CONTEXT_BYTES = 64 << 20
_INPUTS, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


def predict(
    servable: Servable,
    request: predict_pb2.PredictRequest,
    *,
    timeout_seconds: float | None = None,
) -> dict[str, np.ndarray]:
    """The outputs of a signature; raises as `Servable.predict`."""
    signature = servable.find_signature(request.model_spec.signature_name)
    if not signature.defaults:
        check_input_names(request.inputs, signature)
    return servable.predict(
        {name: array_from_proto(proto, name=name) for name, proto in request.inputs.items()},
        signature_name=request.model_spec.signature_name,
        output_names=list(request.output_filter),
        timeout_seconds=timeout_seconds,
    )


def infer_all(
    servable: Servable,
    request: inference_pb2.MultiInferenceRequest,
    *,
    timeout_seconds: float | None = None,
) -> list[inference_pb2.InferenceResult]:
    """The result of each task of a MultiInference request, on the same examples.

    As in TensorFlow Serving it is one run of the graph, unbatched, in which every input of every
    task is fed with the examples.
    """
    tasks: list[tuple[str, Method, meta_graph_pb2.SignatureDef, list[str]]] = []
    for task in request.tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE_NAME
        if any(name == other for other, *_ in tasks):
            raise errors.InvalidArgumentError(f"Duplicate evaluation of signature: {name}")
        if name not in servable.signatures:
            raise errors.InvalidArgumentError(
                f"Requested signature not found in model graph: {name}"
            )
        if task.method_name not in _METHODS:
            raise errors.UnimplementedError(
                f"Unsupported signature method_name: {task.method_name}"
            )
        method, signature = _METHODS[task.method_name], servable.signatures[name]
        _check_method(servable, signature, method)
        tasks.append((name, method, signature, method.choose_outputs(signature)))
    serialized = serialize_examples(request.input)
    fetches = sorted({s.outputs[key].name for _, _, s, names in tasks for key in names})
    values = servable.run(
        {signature.inputs[_INPUTS].name: serialized for _, _, signature, _ in tasks},
        fetches,
        timeout_seconds=timeout_seconds,
    )
    servable.metrics.note_examples(len(serialized))
    found = dict(zip(fetches, values, strict=True))
    results = []
    for _, method, signature, names in tasks:
        outputs = {key: found[signature.outputs[key].name] for key in names}
        written = method.write(outputs, len(serialized))
        results.append(inference_pb2.InferenceResult(**{method.field: written}))
    return results


def _check_method(
    servable: Servable, signature: meta_graph_pb2.SignatureDef, method: Method
) -> None:
    if servable.checks_method_names and signature.method_name != method.name:
        raise errors.InvalidArgumentError(
            f"Expected {method.kind} signature method_name to be {method.name}. "
            f"Was: {signature.method_name}"
        )


def infer(
    method: Method,
    servable: Servable,
    examples: input_pb2.Input,
    *,
    signature_name: str = "",
    timeout_seconds: float | None = None,
) -> Any:
    """The ClassificationResult or RegressionResult of examples.

    Raises `InvalidArgumentError` for an empty input, and for a signature that does not exist or is
    not one of the method.
    """
    name = signature_name or DEFAULT_SIGNATURE_NAME
    if name not in servable.signatures:
        raise errors.InvalidArgumentError(f"No signature was found with the name: {name}")
    signature = servable.signatures[name]
    _check_method(servable, signature, method)
    output_names = method.choose_outputs(signature)
    serialized = serialize_examples(examples)
    outputs = servable.predict(
        {_INPUTS: serialized},
        signature_name=name,
        output_names=output_names,
        timeout_seconds=timeout_seconds,
        api=method.api,
    )
    servable.metrics.note_examples(len(serialized))
    return method.write(outputs, len(serialized))


def serialize_examples(examples: input_pb2.Input) -> np.ndarray:
    """The serialised examples, an object array of bytes; a context is merged into each."""
    kind = examples.WhichOneof("kind")
    if kind == "example_list":
        found = [example.SerializeToString() for example in examples.example_list.examples]
    elif kind == "example_list_with_context":
        with_context = examples.example_list_with_context
        context = with_context.context.SerializeToString()
        _check_context(len(context), len(with_context.examples))
        # Messages merge when they are appended: the example's features win.
        found = [context + example.SerializeToString() for example in with_context.examples]
    else:
        found = []
    if not found:
        raise errors.InvalidArgumentError("Input is empty.")
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array


def _check_context(num_bytes: int, num_examples: int) -> None:
    """A small request must not become gigabytes."""
    if num_bytes * num_examples > _MAX_CONTEXT_BYTES:
        raise errors.InvalidArgumentError(
            "A context is put into every example, which must be at most "
            f"{_MAX_CONTEXT_BYTES >> 20} MiB together. Received: {num_bytes} bytes for "
            f"{num_examples} examples. Send fewer examples at once."
        )


def _choose_class_outputs(signature: meta_graph_pb2.SignatureDef) -> list[str]:
    _check_input(signature, "classification")
    if len(signature.outputs) not in (1, 2):
        raise errors.InvalidArgumentError(
            f"Expected one or two output Tensors, found {len(signature.outputs)}"
        )
    names = [key for key in (_CLASSES, _SCORES) if key in signature.outputs]
    if not names:
        raise errors.InvalidArgumentError(
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature was: {signature}'
        )
    return names


def _choose_value_output(signature: meta_graph_pb2.SignatureDef) -> list[str]:
    if len(signature.inputs) == 1 and len(signature.outputs) != 1:
        raise errors.InvalidArgumentError("Expected one output Tensor.")
    _check_input(signature, "regression")
    if _OUTPUTS not in signature.outputs:
        raise errors.InvalidArgumentError(
            f"No regression outputs found in SignatureDef: {signature}"
        )
    return [_OUTPUTS]


def _check_input(signature: meta_graph_pb2.SignatureDef, kind: str) -> None:
    if len(signature.inputs) != 1:
        raise errors.InvalidArgumentError("Expected one input Tensor.")
    if _INPUTS not in signature.inputs:
        raise errors.InvalidArgumentError(f"No {kind} inputs found in SignatureDef: {signature}")


def _write_values(
    outputs: Mapping[str, np.ndarray], num_examples: int
) -> regression_pb2.RegressionResult:
    values = outputs[_OUTPUTS]
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 1):
        raise errors.InvalidArgumentError(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{write_shape(values.shape)}"
        )
    if values.shape[0] != num_examples:
        raise errors.InvalidArgumentError(
            "Input batch size did not match output batch size: "
            f"{num_examples} vs. {values.shape[0]}"
        )
    if values.dtype != np.float32:
        raise errors.InvalidArgumentError(
            f"Expected output Tensor of DT_FLOAT.  Got: {_type(values)}"
        )
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _write_classes(
    outputs: Mapping[str, np.ndarray], num_examples: int
) -> classification_pb2.ClassificationResult:
    for name, array in outputs.items():
        if array.ndim != 2:
            raise errors.InvalidArgumentError(
                "Expected Tensor shape: [batch_size num_classes] but got "
                f"{write_shape(array.shape)}"
            )
        expected = "DT_STRING" if name == _CLASSES else "DT_FLOAT"
        if array.dtype != (object if name == _CLASSES else np.float32):
            raise errors.InvalidArgumentError(
                f"Expected {name} Tensor of {expected}. Got: {_type(array)}"
            )
        if array.shape[0] != num_examples:
            raise errors.InvalidArgumentError(
                f"Expected {name} output batch size of {num_examples}. Got: {array.shape[0]}"
            )
    sizes = [array.shape[1] for array in outputs.values()]
    if len(set(sizes)) > 1:
        raise errors.InvalidArgumentError(
            f"Tensors class and score should match in dim_size(1). Got {sizes[0]} vs. {sizes[1]}"
        )
    labels, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    result = classification_pb2.ClassificationResult()
    for row in range(num_examples):
        classifications = result.classifications.add()
        for column in range(max(sizes)):
            entry = classifications.classes.add()
            if labels is not None:
                entry.label = labels[row, column].decode("utf-8", errors="replace")
            if scores is not None:
                entry.score = float(scores[row, column])
    return result


def _type(array: np.ndarray) -> str:
    return types_pb2.DataType.Name(tf.dtypes.as_dtype(array.dtype).as_datatype_enum)


@dataclasses.dataclass(frozen=True)
class Method:
    """What Classify and Regress differ in."""

    name: str
    api: str
    kind: str
    field: str
    """Of an `InferenceResult`."""
    choose_outputs: Callable[[meta_graph_pb2.SignatureDef], list[str]]
    write: Callable[[Mapping[str, np.ndarray], int], Any]


CLASSIFY = Method(
    name="tensorflow/serving/classify",
    api="Classify",
    kind="classification",
    field="classification_result",
    choose_outputs=_choose_class_outputs,
    write=_write_classes,
)
REGRESS = Method(
    name="tensorflow/serving/regress",
    api="Regress",
    kind="regression",
    field="regression_result",
    choose_outputs=_choose_value_output,
    write=_write_values,
)
_METHODS = {method.name: method for method in (CLASSIFY, REGRESS)}
