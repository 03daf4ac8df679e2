"""Classify and Regress: examples in, TensorFlow Serving's results out, for either surface.

    Input{example_list{[x, y]}} -> serialised tf.Examples (batch,) -> signature -> results

The wording of the errors is TensorFlow Serving's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from serving import errors
from serving.server.servable import DEFAULT_SIGNATURE_NAME, Servable

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
_INPUTS, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


def classify(
    servable: Servable,
    examples: input_pb2.Input,
    *,
    signature_name: str = "",
    timeout_seconds: float | None = None,
) -> classification_pb2.ClassificationResult:
    """Classes and scores of each example.

    Raises `InvalidArgumentError` for an empty input, and `FailedPreconditionError` for a signature
    without the inputs and outputs of a classification.
    """
    name, signature = find_signature(servable, signature_name)
    serialized = serialize_examples(examples)
    names = [key for key in (_CLASSES, _SCORES) if key in signature.outputs]
    _check_input(signature, "classification")
    if len(signature.outputs) not in (1, 2):
        raise errors.InvalidArgumentError(
            f"Expected one or two output Tensors, found {len(signature.outputs)}"
        )
    if not names:
        raise errors.FailedPreconditionError(
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature was: {signature}'
        )
    outputs = servable.predict(
        {_INPUTS: serialized},
        signature_name=name,
        output_names=names,
        timeout_seconds=timeout_seconds,
    )
    return _write_classes(outputs, num_examples=len(serialized))


def regress(
    servable: Servable,
    examples: input_pb2.Input,
    *,
    signature_name: str = "",
    timeout_seconds: float | None = None,
) -> regression_pb2.RegressionResult:
    """The value of each example; raises as `classify`."""
    name, signature = find_signature(servable, signature_name)
    serialized = serialize_examples(examples)
    _check_input(signature, "regression")
    if len(signature.outputs) != 1:
        raise errors.InvalidArgumentError("Expected one output Tensor.")
    if _OUTPUTS not in signature.outputs:
        raise errors.FailedPreconditionError(
            f"No regression outputs found in SignatureDef: {signature}"
        )
    values = servable.predict(
        {_INPUTS: serialized}, signature_name=name, timeout_seconds=timeout_seconds
    )[_OUTPUTS]
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] != 1):
        raise errors.InvalidArgumentError(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{list(values.shape)}"
        )
    if values.dtype != np.float32:
        raise errors.InvalidArgumentError(
            f"Expected output Tensor of DT_FLOAT. Got: {values.dtype}"
        )
    _check_batch("output", values, len(serialized))
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def infer_all(
    servable: Servable,
    request: inference_pb2.MultiInferenceRequest,
    *,
    timeout_seconds: float | None = None,
) -> list[inference_pb2.InferenceResult]:
    """The result of each task of a MultiInference request, on the same examples."""
    signatures = [
        task.model_spec.signature_name or DEFAULT_SIGNATURE_NAME for task in request.tasks
    ]
    if len(set(signatures)) < len(signatures):
        twice = next(name for name in signatures if signatures.count(name) > 1)
        raise errors.InvalidArgumentError(f"Duplicate evaluation of signature: {twice}")
    sources = {
        info.name
        for name in signatures
        for info in find_signature(servable, name)[1].inputs.values()
    }
    if len(sources) != 1:
        raise errors.InvalidArgumentError("Input tensor must be the same for all Signatures.")
    methods = {CLASSIFY_METHOD: classify, REGRESS_METHOD: regress}
    results = []
    for task, signature_name in zip(request.tasks, signatures, strict=True):
        if task.method_name not in methods:
            raise errors.UnimplementedError(
                f"Unsupported signature method_name: {task.method_name}"
            )
        found = methods[task.method_name](
            servable, request.input, signature_name=signature_name, timeout_seconds=timeout_seconds
        )
        result = inference_pb2.InferenceResult()
        if task.method_name == CLASSIFY_METHOD:
            result.classification_result.CopyFrom(found)
        else:
            result.regression_result.CopyFrom(found)
        results.append(result)
    return results


def find_signature(
    servable: Servable, signature_name: str
) -> tuple[str, meta_graph_pb2.SignatureDef]:
    """The name, filled in, and the signature."""
    name = signature_name or DEFAULT_SIGNATURE_NAME
    if name not in servable.signatures:
        raise errors.InvalidArgumentError(f"No signature was found with the name: {name}")
    return name, servable.signatures[name]


def serialize_examples(examples: input_pb2.Input) -> np.ndarray:
    """The serialised examples, an object array of bytes; a context is merged into each."""
    kind = examples.WhichOneof("kind")
    if kind == "example_list":
        found = [example.SerializeToString() for example in examples.example_list.examples]
    elif kind == "example_list_with_context":
        with_context = examples.example_list_with_context
        context = with_context.context.SerializeToString()
        # Messages merge when they are appended: the example's features win.
        found = [context + example.SerializeToString() for example in with_context.examples]
    else:
        found = []
    if not found:
        raise errors.InvalidArgumentError("Input is empty.")
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array


def classes_to_json(result: classification_pb2.ClassificationResult) -> dict[str, Any]:
    """TensorFlow Serving's JSON: a list of [label, score] for each example."""
    return {
        "results": [
            [[entry.label, _shortest(entry.score)] for entry in classifications.classes]
            for classifications in result.classifications
        ]
    }


def values_to_json(result: regression_pb2.RegressionResult) -> dict[str, Any]:
    """TensorFlow Serving's JSON: a number for each example."""
    return {"results": [_shortest(entry.value) for entry in result.regressions]}


def _shortest(value: float) -> float:
    """A float32 by way of its text, so that 0.2 stays 0.2."""
    return float(str(np.float32(value)))


def _check_input(signature: meta_graph_pb2.SignatureDef, kind: str) -> None:
    if len(signature.inputs) != 1:
        raise errors.InvalidArgumentError("Expected one input Tensor.")
    if _INPUTS not in signature.inputs:
        raise errors.FailedPreconditionError(f"No {kind} inputs found in SignatureDef: {signature}")


def _write_classes(
    outputs: Mapping[str, np.ndarray], *, num_examples: int
) -> classification_pb2.ClassificationResult:
    for name, array in outputs.items():
        if array.ndim != 2:
            raise errors.InvalidArgumentError(
                f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}"
            )
        expected = "DT_STRING" if name == _CLASSES else "DT_FLOAT"
        if array.dtype != (object if name == _CLASSES else np.float32):
            raise errors.InvalidArgumentError(
                f"Expected {name} Tensor of {expected}. Got: {array.dtype}"
            )
        _check_batch(name, array, num_examples)
    sizes = {array.shape[1] for array in outputs.values()}
    if len(sizes) > 1:
        raise errors.InvalidArgumentError(
            f"Tensors class and score should match in dim_size(1). Got {sorted(sizes)}"
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


def _check_batch(name: str, array: np.ndarray, num_examples: int) -> None:
    if array.shape[0] != num_examples:
        raise errors.InvalidArgumentError(
            f"Expected {name} batch size of {num_examples}. Got: {array.shape[0]}"
        )
