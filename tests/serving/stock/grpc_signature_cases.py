"""Predict over gRPC: signatures, their defaults, and what their graphs do."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_text import (
    IMPL,
    RUN,
    TWO,
    UTIL,
    answered,
    inputs,
    predict_fails,
    predicted,
    shaped,
    spec,
    tensors,
)

SPEC_TEST = "servables/tensorflow/util_test.cc ModelSpecTest"
VALUES = f"{UTIL} VerifyRequestInputsSize and TensorFlow's GetInputValues"
SCALAR_2, SCALAR_7 = (shaped("FLOAT", "", f"float_val: {number}") for number in (2, 7))


def published(signature: str, sent: str, given: str, source: str, shape: str = "") -> GrpcCase:
    """The number 2 for an input of the model of TensorFlow Serving's tests."""
    output = {sent: shaped("FLOAT", shape, f"float_val: {given.split('=')[1]}")}
    name = given.split("=")[0]
    value = shaped("FLOAT", shape, "float_val: 2") if shape else TWO
    return predicted(
        f"{signature}, shape [{shape}]",
        spec("published", signature, "1") + inputs(**{sent: value}),
        answered("published", tensors("outputs", **{name: output[sent]}), signature),
        source,
    )


CASES = [
    predict_fails(
        "no inputs",
        spec("published", version="1"),
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}."
        " Missing but required: {x}.",
        f"{IMPL}.EmptyInputList",
    ),
    predict_fails(
        "an input too many",
        spec("published", version="1") + inputs(x=TWO, more=TWO),
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({more,x}) != len({x}). Sent"
        " extra: {more}. Missing but required: {}.",
        UTIL,
    ),
    predict_fails(
        "an unknown output",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "output_filter"',
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: output_filter",
        f"{RUN}.OutputFiltersDontMatchModelSpecOutputs",
    ),
    predict_fails(
        "an unknown output before a wrong type",
        spec("published", version="1")
        + inputs(x="dtype: DT_BOOL bool_val: true")
        + 'output_filter: "z"',
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        UTIL,
    ),
    predict_fails(
        "an output's tensor name is no alias",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "y:0"',
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: y:0",
        UTIL,
    ),
    predict_fails(
        "an unknown signature",
        spec("published", "none", "1") + inputs(x=TWO),
        "FAILED_PRECONDITION",
        'Serving signature key "none" not found.',
        f"{RUN}.ModelMissingSignatures and {UTIL}",
    ),
    predict_fails(
        "no default signature",
        spec("counter"),
        "FAILED_PRECONDITION",
        'Serving signature key "serving_default" not found.',
        f"{RUN}.ModelMissingSignatures",
    ),
    published("serving_default", "x", "y=3", f"{IMPL}.PredictionSuccess"),
    published(
        "regress_x2_to_y3", "inputs", "outputs=4", f"{IMPL}.PredictionWithNamedRegressionSignature"
    ),
    published(
        "classify_x2_to_y3",
        "inputs",
        "scores=4",
        f"{IMPL}.PredictionWithNamedClassificationSignature",
    ),
    published("serving_default", "x", "y=3", "a fed tensor takes any shape (DirectSession)", "1"),
    published(
        "serving_default", "x", "y=3", "a fed tensor takes any shape (DirectSession)", "1 1 1"
    ),
    predicted(
        "signature_name is filled in",
        spec("float") + inputs(x=TWO),
        answered("float", tensors("outputs", x=shaped("FLOAT", "", "float_val: 2"))),
        f"{SPEC_TEST}.EmptySignature",
    ),
    *(
        predicted(
            f"counter: {signature}, step {step}",
            spec("counter", signature) + sent,
            answered(
                "counter",
                tensors("outputs", output=shaped("FLOAT", "", f"float_val: {value}")),
                signature,
            ),
            f"{IMPL}.PredictionWithCustomizedSignatures",
        )
        for step, (signature, sent, value) in enumerate(
            (
                ("get_counter", "", 0),
                ("incr_counter", "", 1),
                ("reset_counter", "", 0),
                ("incr_counter", 'output_filter: "output"', 1),
                ("incr_counter_by", inputs(delta="dtype: DT_FLOAT float_val: 3"), 4),
            )
        )
    ),
    predicted(
        "no inputs at all",
        spec("no_inputs"),
        answered("no_inputs", tensors("outputs", y=shaped("FLOAT", "1", "float_val: 1"))),
        UTIL,
    ),
    predict_fails(
        "an input for a signature without any",
        spec("no_inputs") + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=0",
        UTIL,
    ),
    *(
        predicted(
            f"defaults: {id}",
            spec("defaults") + inputs(**sent),
            answered("defaults", tensors("outputs", **given)),
            VALUES,
        )
        for id, sent, given in (
            ("left out", {"a": TWO}, {"a": SCALAR_2, "b": SCALAR_7}),
            ("sent", {"a": TWO, "b": TWO}, {"a": SCALAR_2, "b": SCALAR_2}),
        )
    ),
    *(
        predict_fails(
            f"defaults: {id}", spec("defaults") + inputs(**sent), "INVALID_ARGUMENT", error, VALUES
        )
        for id, sent, error in (
            ("no inputs", {}, "Signature input alias: a(feed name: a:0) not found in request"),
            ("another name", {"a": TWO, "z": TWO}, "Inputs contains invalid name."),
            (
                "too many",
                {"a": TWO, "b": TWO, "z": TWO},
                "input size does not match signature: 3!=2",
            ),
        )
    ),
    predicted(
        "two names of one output",
        spec("aliases") + inputs(x=TWO),
        answered("aliases", tensors("outputs", p=SCALAR_2, q=SCALAR_2)),
        UTIL,
    ),
    predict_fails(
        "two names of one input",
        spec("aliases", "two_inputs") + inputs(a=TWO, b=TWO),
        "INVALID_ARGUMENT",
        "fed more than once",
        "DirectSession",
    ),
    predict_fails(
        "an input that is the output",
        spec("aliases", "input_is_output") + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "both fed and fetched",
        "DirectSession",
    ),
    predict_fails(
        "an op that does not find its file",
        spec("aliases", "read") + inputs(path='dtype: DT_STRING string_val: "/none/none"'),
        "NOT_FOUND",
        "/none/none; No such file or directory",
        f"{UTIL} RunPredict: the code of the op",
    ),
    predict_fails(
        "an op that does not take its input",
        spec("aliases", "parse") + inputs(path='dtype: DT_STRING string_val: "a"'),
        "INVALID_ARGUMENT",
        "StringToNumberOp could not correctly convert string: a",
        f"{UTIL} RunPredict: the code of the op",
    ),
    predict_fails(
        "a shape that the graph does not take",
        spec("aliases", "fixed") + inputs(x=shaped("FLOAT", "3", "float_val: 1")),
        "INVALID_ARGUMENT",
        "Shape of tensor",
        f"{UTIL} RunPredict: the code of the op",
    ),
]
