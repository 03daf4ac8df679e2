"""Predict over gRPC: model specs, signatures, inputs and outputs."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_text import answered, inputs, shaped, spec, tensors

IMPL = "servables/tensorflow/predict_impl_test.cc PredictImplTest"
RUN = "servables/tensorflow/predict_util_test.cc PredictImplTest"
UTIL = "servables/tensorflow/predict_util.cc"
CORE = "model_servers/server_core.cc ServableRequestFromModelSpec"
SPEC_TEST = "servables/tensorflow/util_test.cc ModelSpecTest"
TWO = "dtype: DT_FLOAT float_val: 2"


def ok(id: str, request: str, response: str, source: str) -> GrpcCase:
    return GrpcCase(id, "Predict", request, source, response=response)


def fails(id: str, request: str, code: str, error: str, source: str) -> GrpcCase:
    return GrpcCase(id, "Predict", request, source, code=code, error=error)


def published(signature: str, sent: str, given: str, source: str, shape: str = "") -> GrpcCase:
    """The number 2 for an input of the model of TensorFlow Serving's tests."""
    output = {sent: shaped("FLOAT", shape, f"float_val: {given.split('=')[1]}")}
    name = given.split("=")[0]
    value = shaped("FLOAT", shape, "float_val: 2") if shape else TWO
    return ok(
        f"{signature}, shape [{shape}]",
        spec("published", signature, "1") + inputs(**{sent: value}),
        answered("published", tensors("outputs", **{name: output[sent]}), signature),
        source,
    )


VALUES = f"{UTIL} VerifyRequestInputsSize and TensorFlow's GetInputValues"
SCALAR_2, SCALAR_7 = (shaped("FLOAT", "", f"float_val: {number}") for number in (2, 7))

CASES = [
    fails(
        "Predict without model_spec",
        inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Missing ModelSpec",
        f"{IMPL}.MissingOrEmptyModelSpec",
    ),
    fails(
        "Predict without a name",
        "model_spec { } " + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
        f"{IMPL}.MissingOrEmptyModelSpec and {CORE}",
    ),
    fails(
        "Predict of an unknown model",
        spec("test") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Latest(test)",
        f"{IMPL}.MissingOrEmptyModelSpec",
    ),
    fails(
        "Predict of an unknown version",
        spec("published", version="99") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, 99)",
        CORE,
    ),
    fails(
        "Predict of a negative version",
        spec("published", version="-1") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, -1)",
        CORE,
    ),
    fails(
        "Predict of version 0",
        spec("published", version="0") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, 0)",
        CORE,
    ),
    ok(
        "a version without a value is version 0's spec of the latest",
        spec("published", version="2") + inputs(x=shaped("FLOAT", "1", "float_val: 2")),
        answered(
            "published", tensors("outputs", y=shaped("FLOAT", "1", "float_val: 3")), version="2"
        ),
        CORE,
    ),
    fails(
        "Predict of version {}",
        spec("published", more="version { }") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, 0)",
        CORE,
    ),
    ok(
        "the latest version answers",
        spec("published") + inputs(x=TWO),
        answered(
            "published", tensors("outputs", y=shaped("FLOAT", "", "float_val: 3")), version="2"
        ),
        "model_servers/server_core_test.cc ServerCoreTest.ModelSpecMultipleVersionsAvailable",
    ),
    ok(
        "a label",
        spec("published", more='version_label: "stable"') + inputs(x=TWO),
        answered("published", tensors("outputs", y=shaped("FLOAT", "", "float_val: 3"))),
        "model_servers/server_core_test.cc ServerCoreTest.ModelSpecMultipleVersionsAvailable",
    ),
    fails(
        "an unknown label",
        spec("published", more='version_label: "none"') + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: none",
        "model_servers/server_core_test.cc ServerCoreTest.ModelSpecMultipleVersionsAvailable",
    ),
    fails(
        "an empty label",
        spec("published", more='version_label: ""') + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: ",
        CORE,
    ),
    fails(
        "a label of an unknown model",
        spec("test", more='version_label: "stable"') + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
        CORE,
    ),
    fails(
        "no inputs",
        spec("published", version="1"),
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}."
        " Missing but required: {x}.",
        f"{IMPL}.EmptyInputList",
    ),
    fails(
        "two unknown inputs",
        spec("published", version="1")
        + inputs(
            unknown_key1=shaped("STRING", "1", 'string_val: "any_value"'),
            unknown_key2=shaped("FLOAT", "1", "float_val: 1"),
        ),
        "INVALID_ARGUMENT",
        "Sent extra: {unknown_key1,unknown_key2}. Missing but required: {x}.",
        f"{RUN}.InputTensorsDontMatchModelSpecInputs",
    ),
    fails(
        "another input",
        spec("published", version="1") + inputs(key=shaped("STRING", "1", 'string_val: "any_key"')),
        "INVALID_ARGUMENT",
        "",
        f"{IMPL}.InputTensorsDontMatchModelSpecInputs",
    ),
    fails(
        "an input too many",
        spec("published", version="1") + inputs(x=TWO, more=TWO),
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({more,x}) != len({x}). Sent"
        " extra: {more}. Missing but required: {}.",
        UTIL,
    ),
    fails(
        "an input too few",
        spec("two") + inputs(int_tensor="dtype: DT_INT32 int_val: 1"),
        "INVALID_ARGUMENT",
        "Missing but required: {str_tensor}.",
        UTIL,
    ),
    fails(
        "a tensor of booleans for a float",
        spec("published", version="1") + inputs(x="dtype: DT_BOOL bool_val: true"),
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but bool is provided",
        f"{RUN}.PredictionInvalidTensor",
    ),
    fails(
        "a tensor of strings for a float",
        spec("published", version="1")
        + inputs(x=shaped("STRING", "1", 'string_val: "any_value"'))
        + 'output_filter: "y"',
        "INVALID_ARGUMENT",
        "to be float but string is provided",
        f"{RUN}.InputTensorsHaveWrongType",
    ),
    *(
        fails(
            f"{sent} for {model}",
            spec(model) + inputs(x=f"dtype: DT_{sent.upper()}"),
            "INVALID_ARGUMENT",
            f"to be {model} but {sent} is provided",
            UTIL,
        )
        for model, sent in (
            ("float", "double"),
            ("int32", "int64"),
            ("string", "float"),
            ("half", "float"),
        )
    ),
    fails(
        "an unknown output",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "output_filter"',
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: output_filter",
        f"{RUN}.OutputFiltersDontMatchModelSpecOutputs",
    ),
    ok(
        "a named output",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "y"',
        answered("published", tensors("outputs", y=shaped("FLOAT", "", "float_val: 3"))),
        f"{RUN}.OutputFiltersDontMatchModelSpecOutputs",
    ),
    fails(
        "an output twice",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "y" output_filter: "y"',
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: y",
        f"{RUN}.OutputFiltersDontMatchModelSpecOutputs",
    ),
    fails(
        "an unknown output before a wrong type",
        spec("published", version="1")
        + inputs(x="dtype: DT_BOOL bool_val: true")
        + 'output_filter: "z"',
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        UTIL,
    ),
    fails(
        "an output's tensor name is no alias",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "y:0"',
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: y:0",
        UTIL,
    ),
    ok(
        "one of two outputs",
        spec("two")
        + inputs(
            int_tensor="dtype: DT_INT32 int_val: 5", str_tensor='dtype: DT_STRING string_val: "a"'
        )
        + 'output_filter: "str_tensor"',
        answered("two", tensors("outputs", str_tensor=shaped("STRING", "", 'string_val: "a"'))),
        UTIL,
    ),
    fails(
        "an unknown signature",
        spec("published", "none", "1") + inputs(x=TWO),
        "FAILED_PRECONDITION",
        'Serving signature key "none" not found.',
        f"{RUN}.ModelMissingSignatures and {UTIL}",
    ),
    fails(
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
    ok(
        "signature_name is filled in",
        spec("float") + inputs(x=TWO),
        answered("float", tensors("outputs", x=shaped("FLOAT", "", "float_val: 2"))),
        f"{SPEC_TEST}.EmptySignature",
    ),
    *(
        ok(
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
    ok(
        "no inputs at all",
        spec("no_inputs"),
        answered("no_inputs", tensors("outputs", y=shaped("FLOAT", "1", "float_val: 1"))),
        UTIL,
    ),
    fails(
        "an input for a signature without any",
        spec("no_inputs") + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "input size does not match signature: 1!=0",
        UTIL,
    ),
    *(
        ok(
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
        fails(
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
    ok(
        "two names of one output",
        spec("aliases") + inputs(x=TWO),
        answered("aliases", tensors("outputs", p=SCALAR_2, q=SCALAR_2)),
        UTIL,
    ),
    fails(
        "two names of one input",
        spec("aliases", "two_inputs") + inputs(a=TWO, b=TWO),
        "INVALID_ARGUMENT",
        "fed more than once",
        "DirectSession",
    ),
    fails(
        "an input that is the output",
        spec("aliases", "input_is_output") + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "both fed and fetched",
        "DirectSession",
    ),
    fails(
        "an op that does not find its file",
        spec("aliases", "read") + inputs(path='dtype: DT_STRING string_val: "/none/none"'),
        "NOT_FOUND",
        "/none/none; No such file or directory",
        f"{UTIL} RunPredict: the code of the op",
    ),
    fails(
        "an op that does not take its input",
        spec("aliases", "parse") + inputs(path='dtype: DT_STRING string_val: "a"'),
        "INVALID_ARGUMENT",
        "StringToNumberOp could not correctly convert string: a",
        f"{UTIL} RunPredict: the code of the op",
    ),
    fails(
        "a shape that the graph does not take",
        spec("aliases", "fixed") + inputs(x=shaped("FLOAT", "3", "float_val: 1")),
        "INVALID_ARGUMENT",
        "Shape of tensor",
        f"{UTIL} RunPredict: the code of the op",
    ),
]
