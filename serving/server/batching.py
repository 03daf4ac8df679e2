"""Batches requests that come together: TensorFlow's batch scheduler, put before a signature.

In: a loaded graph and its signatures. Out: signatures with other tensors, whose calls wait for each
other for a moment and are then one call of the model. It is the scheduler of TensorFlow Serving.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BatchingSettings:
    """`BatchingParameters`, checked. The defaults are TensorFlow Serving's."""

    max_batch_size: int = 1000
    """The most rows of a batch, and of a request."""
    batch_timeout_micros: int = 0
    """How long a request waits for others while a thread is free."""
    max_enqueued_batches: int = 10
    """Beyond, a request is refused at once: UNAVAILABLE."""
    num_batch_threads: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    """A batch is filled up to the next of these."""

    @classmethod
    def from_message(cls, message: Any) -> BatchingSettings:
        """Raises `ValueError` for what TensorFlow Serving would not start with."""
        given = {
            field: getattr(message, field).value
            for field in (
                "max_batch_size",
                "batch_timeout_micros",
                "max_enqueued_batches",
                "num_batch_threads",
            )
            if message.HasField(field)
        }
        settings = cls(**given, allowed_batch_sizes=tuple(message.allowed_batch_sizes))
        sizes = settings.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != settings.max_batch_size):
            raise ValueError(
                "allowed_batch_sizes must rise and end with max_batch_size. Received: "
                f"{list(sizes)} and {settings.max_batch_size}."
            )
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(settings, name) < 1:
                raise ValueError(f"{name} must be 1 or more. Received: {getattr(settings, name)}.")
        return settings


def batch_signatures(
    graph: tf.Graph,
    signatures: dict[str, meta_graph_pb2.SignatureDef],
    settings: BatchingSettings,
) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Signatures of the same names whose calls are batched, as far as they can be.

    Rows of different lengths do not fit together, so only signatures whose inputs are a value a
    row, such as text, are batched; others are given back as they are.
    """
    library = graph.as_graph_def().library
    functions = {function.signature.name: function for function in library.function}
    return {
        name: _batch(graph, functions, name, signature, settings) or signature
        for name, signature in signatures.items()
    }


def _batch(
    graph: tf.Graph,
    functions: Mapping[str, function_pb2.FunctionDef],
    name: str,
    signature: meta_graph_pb2.SignatureDef,
    settings: BatchingSettings,
) -> meta_graph_pb2.SignatureDef | None:
    shapes = [tf.TensorShape(info.tensor_shape) for info in signature.inputs.values()]
    call = _find_call(graph, signature)
    if call is None or any(shape.rank != 1 for shape in shapes):
        return None
    num_inputs = len(signature.inputs)
    given, captured = list(call.inputs)[:num_inputs], list(call.inputs)[num_inputs:]
    names = {info.name: key for key, info in signature.inputs.items()}
    if {tensor.name for tensor in given} != set(names):
        return None
    with graph.as_default():
        waiting = [tf.compat.v1.placeholder(tensor.dtype, tensor.shape) for tensor in given]
        answers = tf.raw_ops.BatchFunction(
            in_tensors=waiting,
            captured_tensors=captured,
            f=_optimized_apart(graph, functions[call.get_attr("f").name]),
            num_batch_threads=settings.num_batch_threads,
            max_batch_size=settings.max_batch_size,
            batch_timeout_micros=settings.batch_timeout_micros,
            max_enqueued_batches=settings.max_enqueued_batches,
            allowed_batch_sizes=list(settings.allowed_batch_sizes),
            enable_large_batch_splitting=False,
            shared_name=f"batch_{name}",
            Tout=[tensor.dtype for tensor in call.outputs],
        )
    batched = meta_graph_pb2.SignatureDef()
    batched.CopyFrom(signature)
    for old, new in zip(given, waiting, strict=True):
        batched.inputs[names[old.name]].name = new.name
    new_names = dict(zip((t.name for t in call.outputs), (t.name for t in answers), strict=True))
    for info in batched.outputs.values():
        info.name = new_names[info.name]
    return batched


def _optimized_apart(
    graph: tf.Graph, function: function_pb2.FunctionDef
) -> attr_value_pb2.NameAttrList:
    """A function that calls `function`, and whose call is not put in its place.

    The batch scheduler runs its function as it stands; a function that is called in it goes through
    TensorFlow's graph optimizer, without which a model takes half as long again.
    """
    name = function.signature.name
    inner, outer = function_pb2.FunctionDef(), function_pb2.FunctionDef()
    inner.CopyFrom(function)
    inner.signature.name = f"{name}_inner"
    inner.attr["_noinline"].b = True
    outer.signature.CopyFrom(function.signature)
    outer.signature.name = f"{name}_outer"
    node = outer.node_def.add(name="call", op="StatefulPartitionedCall")
    node.attr["f"].func.name = inner.signature.name
    node.input.extend(argument.name for argument in function.signature.input_arg)
    node.attr["Tin"].list.type.extend(a.type for a in function.signature.input_arg)
    node.attr["Tout"].list.type.extend(a.type for a in function.signature.output_arg)
    for number, output in enumerate(function.signature.output_arg):
        outer.ret[output.name] = f"call:output:{number}"
    graph_def = graph_pb2.GraphDef(versions=graph.graph_def_versions)
    graph_def.library.function.extend([inner, outer])
    tf.graph_util.import_graph_def(graph_def, name="")
    return attr_value_pb2.NameAttrList(name=outer.signature.name)


def _find_call(graph: tf.Graph, signature: meta_graph_pb2.SignatureDef) -> tf.Operation | None:
    """The one function call that gives all outputs; a SavedModel of TensorFlow 2 has it."""
    calls = {graph.get_tensor_by_name(info.name).op for info in signature.outputs.values()}
    if len(calls) != 1:
        return None
    (call,) = calls
    return call if call.type in ("PartitionedCall", "StatefulPartitionedCall") else None
