"""SavedModels for the tables: most give back what reached them, whatever its shape.

Each is a graph of TensorFlow 1, as TensorFlow Serving's own test models are, so that placeholders
may have no shape at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

v1 = tf.compat.v1
Tensors = Mapping[str, tf.Tensor]
Signatures = Mapping[str, tuple[Tensors, Tensors]]

ECHOED_TYPES = {
    "float": tf.float32,
    "double": tf.float64,
    "int8": tf.int8,
    "int16": tf.int16,
    "int32": tf.int32,
    "int64": tf.int64,
    "uint8": tf.uint8,
    "uint16": tf.uint16,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
    "bool": tf.bool,
    "string": tf.string,
    "half": tf.float16,
    "bfloat16": tf.bfloat16,
    "complex64": tf.complex64,
}
# Models of several inputs, which all come back under their names.
ECHOED_GROUPS = {
    "many": {
        "int_tensor": tf.int32,
        "str_tensor": tf.string,
        "float_tensor": tf.float32,
        "dbl_tensor": tf.float64,
    },
    "two": {"int_tensor": tf.int32, "str_tensor": tf.string},
    "columns": {"int_tensor": tf.int32, "str_tensor": tf.string, "bin_tensor": tf.string},
    "named": {"a b/c.d": tf.float32, "\u00e9": tf.float32},
    "answers": {
        "int_tensor": tf.int32,
        "str_tensor": tf.string,
        "float_tensor": tf.float32,
        "double_scalar_tensor": tf.float64,
        "str_tensor_bytes": tf.string,
    },
}


def save_models(root: Path) -> dict[str, Path]:
    """Writes every model as version 1; returns the base paths by name."""
    builders: dict[str, Callable[[], Signatures]] = {
        name: lambda dtype=dtype: echo({"x": dtype}) for name, dtype in ECHOED_TYPES.items()
    }
    builders |= {name: lambda dtypes=dtypes: echo(dtypes) for name, dtypes in ECHOED_GROUPS.items()}
    builders |= {
        "bytes": echo_bytes,
        "no_inputs": answer_without_inputs,
        "shapes": answer_in_shapes,
        "examples": show_examples,
        "published": half_plus_two_and_three,
        "counter": count,
        "inference": infer_from_features,
        "aliases": name_tensors_twice,
    }
    for name, build in builders.items():
        save(root / name / "1", build)
    save(root / "published" / "2", half_plus_two_and_three)
    save(root / "defaults" / "1", lambda: echo({"a": tf.float32, "b": tf.float32}), b=7.0)
    return {name: root / name for name in (*builders, "defaults")}


def save(directory: Path, build: Callable[[], Signatures], **defaults: float) -> None:
    """Writes one SavedModel with the signatures that `build` makes.

    `defaults` are the values of inputs that a request may leave out.
    """
    info = v1.saved_model.utils.build_tensor_info
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = {
            name: v1.saved_model.build_signature_def(
                {key: info(tensor) for key, tensor in inputs.items()},
                {key: info(tensor) for key, tensor in outputs.items()},
                "tensorflow/serving/predict",
            )
            for name, (inputs, outputs) in build().items()
        }
        for signature in signatures.values():
            for key, value in defaults.items():
                signature.defaults[key].CopyFrom(tf.make_tensor_proto(value, tf.float32))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures)
        builder.save()


def echo(dtypes: Mapping[str, tf.DType]) -> Signatures:
    inputs = {
        name: v1.placeholder(dtype, name=name if re.fullmatch(r"\w+", name, re.ASCII) else None)
        for name, dtype in dtypes.items()
    }
    return {"serving_default": (inputs, {k: tf.identity(x) for k, x in inputs.items()})}


def echo_bytes() -> Signatures:
    text = v1.placeholder(tf.string, name="x")
    return {"serving_default": ({"x": text}, {"x_bytes": tf.identity(text)})}


def answer_without_inputs() -> Signatures:
    return {"serving_default": ({}, {"y": tf.constant([1.0])})}


def answer_in_shapes() -> Signatures:
    """Answers that the row form cannot carry, and some that it can."""
    x = v1.placeholder(tf.float32, name="x")

    def zeros(*shape: int) -> tf.Tensor:
        return tf.zeros(shape, tf.int32)

    outputs = {
        "serving_default": {"y": tf.identity(x)},
        "scalar": {"y": tf.constant(1, tf.int32)},
        "scalar_beside_list": {"a": zeros(2), "b": tf.constant(1, tf.int32)},
        "two_and_one": {"a": zeros(2, 3), "b": zeros(1, 3)},
        "none_and_one": {"a": zeros(0, 2), "b": zeros(1, 2)},
        "none": {"y": zeros(0, 2)},
        "none_twice": {"a": tf.zeros([0, 1, 2]), "b": tf.zeros([0, 3, 4])},
        "empty_rows": {"y": zeros(2, 0)},
        "complex": {"y": tf.complex(x, x)},
        "half": {"y": tf.cast(x, tf.float16)},
        "uint16": {"y": tf.cast(x, tf.uint16)},
        "not_utf8": {"y": tf.constant([b"\xff"])},
        "quoted": {"y": tf.constant(['a"b\\c/d\n\t\x01\u00e9', "\U0001f600\u2028\x7f"])},
        "with_zero_byte": {"y": tf.constant([b"a\x00b"])},
    }
    return {name: ({"x": x}, found) for name, found in outputs.items()}


def name_tensors_twice() -> Signatures:
    """Names that stand for the same tensors, an output that is the input, and ops that fail."""
    x = v1.placeholder(tf.float32, name="x")
    y = tf.identity(x)
    path = v1.placeholder(tf.string, name="path")
    return {
        "serving_default": ({"x": x}, {"p": y, "q": y}),
        "two_inputs": ({"a": x, "b": x}, {"y": y}),
        "input_is_output": ({"x": x}, {"y": x}),
        "read": ({"path": path}, {"content": tf.io.read_file(path)}),
        "parse": ({"path": path}, {"number": tf.strings.to_number(path)}),
        "fixed": ({"x": x}, {"y": tf.ensure_shape(x, [2])}),
    }


def show_examples() -> Signatures:
    """Gives each serialised example back as the label of its only class."""
    serialized = v1.placeholder(tf.string, name="inputs")
    classes = tf.expand_dims(tf.io.encode_base64(serialized, pad=True), 1)
    scores = tf.zeros(tf.shape(classes))
    feature = {"x": v1.FixedLenFeature([], tf.float32, default_value=-1.0)}
    value = v1.parse_example(serialized, feature)["x"]
    number = {"n": v1.FixedLenFeature([], tf.int64, default_value=-1)}
    whole = tf.cast(v1.parse_example(serialized, number)["n"], tf.float32)
    return {
        "serving_default": ({"inputs": serialized}, {"classes": classes, "scores": scores}),
        "regress": ({"inputs": serialized}, {"outputs": value}),
        "regress_whole": ({"inputs": serialized}, {"outputs": whole}),
    }


def half_plus_two_and_three() -> Signatures:
    """TensorFlow's model y = x / 2 + 2, y2 = x / 2 + 3 and y3 = x2 / 2 + 3."""
    serialized = v1.placeholder(tf.string, name="tf_example")
    features = {name: v1.FixedLenFeature([1], tf.float32, [0.0]) for name in ("x", "x2")}
    parsed = v1.parse_example(serialized, features)
    x, x2 = (tf.identity(parsed[name], name=name) for name in ("x", "x2"))
    half, two = v1.get_variable("a", initializer=0.5), v1.get_variable("b", initializer=2.0)
    three = v1.get_variable("c", initializer=3.0)
    y = tf.add(tf.multiply(half, x), two, name="y")
    y2 = tf.add(tf.multiply(half, x), three, name="y2")
    y3 = tf.add(tf.multiply(half, x2), three, name="y3")
    return {
        "serving_default": ({"x": x}, {"y": y}),
        "regress_x_to_y": ({"inputs": serialized}, {"outputs": y}),
        "regress_x_to_y2": ({"inputs": serialized}, {"outputs": y2}),
        "regress_x2_to_y3": ({"inputs": x2}, {"outputs": y3}),
        "classify_x_to_y": ({"inputs": serialized}, {"scores": y}),
        "classify_x2_to_y3": ({"inputs": x2}, {"scores": y3}),
    }


def count() -> Signatures:
    """A counter, whose signatures but one take nothing."""
    counter = v1.get_variable("counter", initializer=0.0)
    delta = v1.placeholder(tf.float32, [], name="delta")
    changes = {
        "incr_counter": counter.assign_add(1.0),
        "incr_counter_by": counter.assign_add(delta),
        "reset_counter": counter.assign(0.0),
    }
    return {
        "get_counter": ({}, {"output": counter.read_value()}),
        **{
            name: ({"delta": delta} if "by" in name else {}, {"output": tf.identity(change)})
            for name, change in changes.items()
        },
    }


def infer_from_features() -> Signatures:
    """Classes and scores that the examples hold, and outputs of wrong types and shapes."""
    serialized = v1.placeholder(tf.string, name="inputs")
    features = {
        "class": v1.VarLenFeature(tf.string),
        "score": v1.VarLenFeature(tf.float32),
        "output": v1.FixedLenFeature([], tf.float32, 0.0),
    }
    parsed = v1.parse_example(serialized, features)
    classes = v1.sparse.to_dense(parsed["class"])
    scores, output = v1.sparse.to_dense(parsed["score"]), parsed["output"]
    raised = v1.identity(output + 1.0)
    failing = v1.debugging.assert_less(output, -1e9, message="Run totally failed")
    with tf.control_dependencies([failing]):
        fails = tf.identity(scores)
    given = {"inputs": serialized}
    both = {"classes": classes, "scores": scores}
    outputs: dict[str, Tensors] = {
        "serving_default": both,
        "classes_only": {"classes": classes},
        "scores_only": {"scores": scores},
        "output_plus_one": {"classes": classes, "scores": scores + 1.0},
        "deep_scores": {"classes": classes, "scores": scores[:, :, tf.newaxis]},
        "flat_classes": {"classes": classes[:, 0]},
        "one_row_of_classes": {"classes": classes[:1], "scores": scores},
        "one_row_of_scores": {"classes": classes, "scores": scores[:1]},
        "float_classes": {"classes": scores, "scores": scores},
        "string_scores": {"classes": classes, "scores": classes},
        "more_scores": {"classes": classes, "scores": tf.concat([scores, scores[:, :1]], 1)},
        "three_outputs": both | {"more": output},
        "other_outputs": {"labels": classes},
        "fails": {"classes": classes, "scores": fails},
        "regress": {"outputs": output},
        "regress_plus_one": {"outputs": raised},
        "regress_column": {"outputs": output[:, tf.newaxis]},
        "regress_two_columns": {"outputs": tf.stack([output, output], 1)},
        "regress_deep": {"outputs": output[:, tf.newaxis, tf.newaxis]},
        "regress_one_row": {"outputs": output[:1]},
        "regress_scalar": {"outputs": tf.reduce_sum(output)},
        "regress_strings": {"outputs": tf.as_string(output)},
        "regress_other_name": {"y": output},
        "regress_two": {"outputs": output, "more": output},
        "regress_fails": {"outputs": fails[:, 0]},
    }
    other = v1.placeholder(tf.string, name="other")
    of_other = v1.parse_example(other, {"output": features["output"]})["output"]
    return {name: (given, found) for name, found in outputs.items()} | {
        "two_inputs": (given | {"other": other}, both),
        "other_input": ({"examples": serialized}, both),
        "regress_two_inputs": (given | {"other": other}, {"outputs": output}),
        "regress_other_input": ({"examples": serialized}, {"outputs": output}),
        "regress_from_other": ({"inputs": other}, {"outputs": of_other}),
        "empty": ({}, {}),
    }
