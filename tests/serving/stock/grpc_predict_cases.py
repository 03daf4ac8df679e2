"""Predict over gRPC: model specs, inputs and outputs."""

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

CORE = "model_servers/server_core.cc ServableRequestFromModelSpec"


CASES = [
    predict_fails(
        "Predict without model_spec",
        inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Missing ModelSpec",
        f"{IMPL}.MissingOrEmptyModelSpec",
    ),
    predict_fails(
        "Predict without a name",
        "model_spec { } " + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
        f"{IMPL}.MissingOrEmptyModelSpec and {CORE}",
    ),
    predict_fails(
        "Predict of an unknown model",
        spec("test") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Latest(test)",
        f"{IMPL}.MissingOrEmptyModelSpec",
    ),
    predict_fails(
        "Predict of an unknown version",
        spec("published", version="99") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, 99)",
        CORE,
    ),
    predict_fails(
        "Predict of a negative version",
        spec("published", version="-1") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, -1)",
        CORE,
    ),
    predict_fails(
        "Predict of version 0",
        spec("published", version="0") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, 0)",
        CORE,
    ),
    predicted(
        "a version without a value is version 0's spec of the latest",
        spec("published", version="2") + inputs(x=shaped("FLOAT", "1", "float_val: 2")),
        answered(
            "published", tensors("outputs", y=shaped("FLOAT", "1", "float_val: 3")), version="2"
        ),
        CORE,
    ),
    predict_fails(
        "Predict of version {}",
        spec("published", more="version { }") + inputs(x=TWO),
        "NOT_FOUND",
        "Servable not found for request: Specific(published, 0)",
        CORE,
    ),
    predicted(
        "the latest version answers",
        spec("published") + inputs(x=TWO),
        answered(
            "published", tensors("outputs", y=shaped("FLOAT", "", "float_val: 3")), version="2"
        ),
        "model_servers/server_core_test.cc ServerCoreTest.ModelSpecMultipleVersionsAvailable",
    ),
    predicted(
        "a label",
        spec("published", more='version_label: "stable"') + inputs(x=TWO),
        answered("published", tensors("outputs", y=shaped("FLOAT", "", "float_val: 3"))),
        "model_servers/server_core_test.cc ServerCoreTest.ModelSpecMultipleVersionsAvailable",
    ),
    predict_fails(
        "an unknown label",
        spec("published", more='version_label: "none"') + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: none",
        "model_servers/server_core_test.cc ServerCoreTest.ModelSpecMultipleVersionsAvailable",
    ),
    predict_fails(
        "an empty label",
        spec("published", more='version_label: ""') + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: ",
        CORE,
    ),
    predict_fails(
        "a label of an unknown model",
        spec("test", more='version_label: "stable"') + inputs(x=TWO),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
        CORE,
    ),
    predict_fails(
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
    predict_fails(
        "another input",
        spec("published", version="1") + inputs(key=shaped("STRING", "1", 'string_val: "any_key"')),
        "INVALID_ARGUMENT",
        "",
        f"{IMPL}.InputTensorsDontMatchModelSpecInputs",
    ),
    predict_fails(
        "an input too few",
        spec("two") + inputs(int_tensor="dtype: DT_INT32 int_val: 1"),
        "INVALID_ARGUMENT",
        "Missing but required: {str_tensor}.",
        UTIL,
    ),
    predict_fails(
        "a tensor of booleans for a float",
        spec("published", version="1") + inputs(x="dtype: DT_BOOL bool_val: true"),
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but bool is provided",
        f"{RUN}.PredictionInvalidTensor",
    ),
    predict_fails(
        "a tensor of strings for a float",
        spec("published", version="1")
        + inputs(x=shaped("STRING", "1", 'string_val: "any_value"'))
        + 'output_filter: "y"',
        "INVALID_ARGUMENT",
        "to be float but string is provided",
        f"{RUN}.InputTensorsHaveWrongType",
    ),
    *(
        predict_fails(
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
    predicted(
        "a named output",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "y"',
        answered("published", tensors("outputs", y=shaped("FLOAT", "", "float_val: 3"))),
        f"{RUN}.OutputFiltersDontMatchModelSpecOutputs",
    ),
    predict_fails(
        "an output twice",
        spec("published", version="1") + inputs(x=TWO) + 'output_filter: "y" output_filter: "y"',
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: y",
        f"{RUN}.OutputFiltersDontMatchModelSpecOutputs",
    ),
    predicted(
        "one of two outputs",
        spec("two")
        + inputs(
            int_tensor="dtype: DT_INT32 int_val: 5", str_tensor='dtype: DT_STRING string_val: "a"'
        )
        + 'output_filter: "str_tensor"',
        answered("two", tensors("outputs", str_tensor=shaped("STRING", "", 'string_val: "a"'))),
        UTIL,
    ),
]
