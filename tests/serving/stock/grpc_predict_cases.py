"""Predict, GetModelStatus and GetModelMetadata over gRPC."""

from tests.serving.stock.case import GrpcCase

IMPL = "servables/tensorflow/predict_impl_test.cc PredictImplTest"
RUN = "servables/tensorflow/predict_util_test.cc PredictImplTest"
UTIL = "servables/tensorflow/predict_util.cc"
TENSOR = f"{UTIL} PreProcessPrediction (Tensor::FromProto)"
STATUS = "model_servers/get_model_status_impl_test.cc GetModelStatusImplTest"
METADATA = "servables/tensorflow/get_model_metadata_impl_test.cc GetModelMetadataImplTest"
CORE = "model_servers/server_core.cc ServableRequestFromModelSpec"
SPEC_TEST = "servables/tensorflow/util_test.cc ModelSpecTest"
TWO = "dtype: DT_FLOAT float_val: 2"


def spec(name: str, signature: str = "", version: str = "", more: str = "") -> str:
    """A model spec in text form: spec("published", "serving_default", "1")."""
    parts = [f'name: "{name}"', f'signature_name: "{signature}"' if signature else ""]
    parts += [f"version {{ value: {version} }}" if version else "", more]
    return "model_spec { " + " ".join(parts) + " }"


def tensors(field: str, **values: str) -> str:
    return " ".join(
        f'{field} {{ key: "{name}" value {{ {value} }} }}' for name, value in values.items()
    )


def inputs(**values: str) -> str:
    return tensors("inputs", **values)


def shaped(dtype: str, sizes: str, values: str = "") -> str:
    """A tensor: shaped("INT32", "2 3", "int_val: 1")."""
    dims = " ".join(f"dim {{ size: {size} }}" for size in sizes.split())
    return f"dtype: DT_{dtype} tensor_shape {{ {dims} }} {values}"


def ok(id: str, request: str, response: str, source: str) -> GrpcCase:
    return GrpcCase(id, "Predict", request, source, response=response)


def fails(id: str, request: str, code: str, error: str, source: str, **more: str) -> GrpcCase:
    return GrpcCase(id, "Predict", request, source, code=code, error=error, **more)


def answered(
    name: str, outputs: str, signature: str = "serving_default", version: str = "1"
) -> str:
    return f"{outputs} {spec(name, signature, version)}"


def echoed(model: str, id: str, sent: str, given: str, source: str = TENSOR) -> GrpcCase:
    """A tensor sent to a model that gives it back."""
    return ok(
        f"{model}: {id}",
        spec(model) + inputs(x=sent),
        answered(model, tensors("outputs", x=given)),
        source,
    )


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


REPEATED = " ".join(["float_val: 7"] * 6)
NO_STATE = "state: AVAILABLE status { }"

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
        "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
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
        "input size does not match signature: 2!=1 len({more,x}) != len({x}). Sent extra: {more}. Missing but required: {}.",
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
    echoed(
        "float",
        "one value for a whole shape",
        shaped("FLOAT", "2 3", "float_val: 7"),
        shaped("FLOAT", "2 3", REPEATED),
    ),
    echoed(
        "float",
        "the last value is repeated",
        shaped("FLOAT", "3", "float_val: 1 float_val: 2"),
        shaped("FLOAT", "3", "float_val: 1 float_val: 2 float_val: 2"),
    ),
    echoed(
        "float",
        "no value is zero",
        shaped("FLOAT", "2"),
        shaped("FLOAT", "2", "float_val: 0 float_val: 0"),
    ),
    echoed(
        "float",
        "values too many are dropped",
        shaped("FLOAT", "1", "float_val: 1 float_val: 2"),
        shaped("FLOAT", "1", "float_val: 1"),
    ),
    echoed(
        "float",
        "unknown rank is that of a scalar",
        "dtype: DT_FLOAT tensor_shape { unknown_rank: true } float_val: 1",
        shaped("FLOAT", "", "float_val: 1"),
    ),
    echoed("float", "no elements", shaped("FLOAT", "0 3"), shaped("FLOAT", "0 3")),
    echoed(
        "float",
        "no elements, but values",
        shaped("FLOAT", "0", "float_val: 1"),
        shaped("FLOAT", "0"),
    ),
    echoed(
        "float",
        "raw bytes",
        shaped("FLOAT", "2", r'tensor_content: "\000\000\200?\000\000\000@"'),
        shaped("FLOAT", "2", "float_val: 1 float_val: 2"),
    ),
    echoed(
        "float",
        "raw bytes before values",
        shaped("FLOAT", "1", r'tensor_content: "\000\000\200?" float_val: 5'),
        shaped("FLOAT", "1", "float_val: 1"),
    ),
    echoed(
        "float",
        "values that are not finite",
        shaped("FLOAT", "3", "float_val: nan float_val: inf float_val: -inf"),
        shaped("FLOAT", "3", "float_val: nan float_val: inf float_val: -inf"),
    ),
    echoed(
        "float",
        "values of another field",
        shaped("FLOAT", "1", "int_val: 5"),
        shaped("FLOAT", "1", "float_val: 0"),
    ),
    echoed(
        "string",
        "bytes that are no UTF-8",
        shaped("STRING", "2", r'string_val: "\000\377" string_val: ""'),
        shaped("STRING", "2", r'string_val: "\000\377" string_val: ""'),
    ),
    echoed(
        "string",
        "no value is an empty string",
        shaped("STRING", "2"),
        shaped("STRING", "2", 'string_val: "" string_val: ""'),
    ),
    echoed(
        "string",
        "one value for a whole shape",
        shaped("STRING", "2", 'string_val: "a"'),
        shaped("STRING", "2", 'string_val: "a" string_val: "a"'),
    ),
    echoed(
        "string",
        "a scalar",
        'dtype: DT_STRING string_val: "a"',
        shaped("STRING", "", 'string_val: "a"'),
    ),
    echoed(
        "int32",
        "values",
        shaped("INT32", "2", "int_val: -1 int_val: 2"),
        shaped("INT32", "2", "int_val: -1 int_val: 2"),
    ),
    echoed(
        "int64",
        "values",
        shaped("INT64", "1", "int64_val: 9223372036854775807"),
        shaped("INT64", "1", "int64_val: 9223372036854775807"),
    ),
    echoed(
        "int8", "values", shaped("INT8", "1", "int_val: -128"), shaped("INT8", "1", "int_val: -128")
    ),
    echoed(
        "int16",
        "values",
        shaped("INT16", "1", "int_val: -32768"),
        shaped("INT16", "1", "int_val: -32768"),
    ),
    echoed(
        "uint8",
        "values",
        shaped("UINT8", "1", "int_val: 255"),
        shaped("UINT8", "1", "int_val: 255"),
    ),
    echoed(
        "uint16",
        "values",
        shaped("UINT16", "1", "int_val: 65535"),
        shaped("UINT16", "1", "int_val: 65535"),
    ),
    echoed(
        "uint32",
        "values",
        shaped("UINT32", "1", "uint32_val: 4294967295"),
        shaped("UINT32", "1", "uint32_val: 4294967295"),
    ),
    echoed(
        "uint64",
        "values",
        shaped("UINT64", "1", "uint64_val: 18446744073709551615"),
        shaped("UINT64", "1", "uint64_val: 18446744073709551615"),
    ),
    echoed(
        "bool",
        "values",
        shaped("BOOL", "2", "bool_val: true bool_val: false"),
        shaped("BOOL", "2", "bool_val: true bool_val: false"),
    ),
    echoed(
        "double",
        "values",
        shaped("DOUBLE", "1", "double_val: 0.1"),
        shaped("DOUBLE", "1", "double_val: 0.1"),
    ),
    echoed(
        "half",
        "values are their bits",
        shaped("HALF", "2", "half_val: 15360 half_val: 49152"),
        shaped("HALF", "2", "half_val: 15360 half_val: 49152"),
    ),
    echoed(
        "bfloat16",
        "values are their bits",
        shaped("BFLOAT16", "1", "half_val: 16256"),
        shaped("BFLOAT16", "1", "half_val: 16256"),
    ),
    echoed(
        "complex64",
        "pairs",
        shaped("COMPLEX64", "1", "scomplex_val: 1 scomplex_val: 2"),
        shaped("COMPLEX64", "1", "scomplex_val: 1 scomplex_val: 2"),
    ),
    echoed(
        "int8",
        "a value beyond its type is cut",
        shaped("INT8", "1", "int_val: 300"),
        shaped("INT8", "1", "int_val: 44"),
    ),
    *(
        fails(
            f"no tensor: {id}",
            spec("float") + inputs(x=value),
            "INVALID_ARGUMENT",
            "tensor parsing error: x",
            TENSOR,
        )
        for id, value in (
            ("nothing", ""),
            ("no dtype", "float_val: 1"),
            ("a size below zero", shaped("FLOAT", "-1", "float_val: 1")),
            ("raw bytes too few", shaped("FLOAT", "2", r'tensor_content: "\000\000\200?"')),
            ("raw bytes too many", shaped("FLOAT", "1", r'tensor_content: "\000\000\200?\000"')),
            ("a reference type", "dtype: DT_FLOAT_REF float_val: 1"),
        )
    ),
    *(
        GrpcCase(f"GetModelStatus: {id}", "GetModelStatus", request, source, code=code, error=error)
        for id, request, code, error, source in (
            (
                "no model_spec",
                "",
                "INVALID_ARGUMENT",
                "Missing ModelSpec",
                f"{STATUS}.MissingOrEmptyModelSpecFailure",
            ),
            (
                "an unknown model",
                spec("none"),
                "NOT_FOUND",
                "Could not find any versions of model none",
                f"{STATUS}.InvalidModelNameFailure",
            ),
            (
                "an unknown version",
                spec("published", version="99"),
                "NOT_FOUND",
                "Could not find version 99 of model published",
                f"{STATUS}.InvalidModelVersionFailure",
            ),
            (
                "no name",
                "model_spec { }",
                "NOT_FOUND",
                "Could not find any versions of model ",
                "model_servers/get_model_status_impl.cc",
            ),
            (
                "an unknown model's version",
                spec("none", version="1"),
                "NOT_FOUND",
                "Could not find version 1 of model none",
                "model_servers/get_model_status_impl.cc",
            ),
        )
    ),
    GrpcCase(
        "GetModelStatus: all versions",
        "GetModelStatus",
        spec("published"),
        f"{STATUS}.AllVersionsSuccess",
        response=f"model_version_status {{ version: 2 {NO_STATE} }} model_version_status {{ version: 1 {NO_STATE} }}",
    ),
    GrpcCase(
        "GetModelStatus: one version",
        "GetModelStatus",
        spec("published", version="1"),
        f"{STATUS}.SingleVersionSuccess",
        response=f"model_version_status {{ version: 1 {NO_STATE} }}",
    ),
    *(
        GrpcCase(
            f"GetModelStatus: label {label}",
            "GetModelStatus",
            spec("published", more=f'version_label: "{label}"'),
            "model_servers/get_model_status_impl.cc: a label is not looked at",
            response=f"model_version_status {{ version: 2 {NO_STATE} }} model_version_status {{ version: 1 {NO_STATE} }}",
        )
        for label in ("stable", "none")
    ),
    *(
        GrpcCase(
            f"GetModelMetadata: {id}", "GetModelMetadata", request, source, code=code, error=error
        )
        for id, request, code, error, source in (
            (
                "no model_spec",
                'metadata_field: "signature_def"',
                "INVALID_ARGUMENT",
                "Missing ModelSpec",
                f"{METADATA}.MissingOrEmptyModelSpecOrMetadataField",
            ),
            (
                "nothing at all",
                "",
                "INVALID_ARGUMENT",
                "Missing ModelSpec",
                f"{METADATA}.MissingOrEmptyModelSpec",
            ),
            (
                "no name",
                'model_spec { } metadata_field: "signature_def"',
                "INVALID_ARGUMENT",
                "ModelSpec has no name specified.",
                f"{METADATA}.MissingOrEmptyModelSpec",
            ),
            (
                "no field",
                spec("published"),
                "INVALID_ARGUMENT",
                "GetModelMetadataRequest must specify at least one metadata_field",
                f"{METADATA}.EmptyMetadataFieldList",
            ),
            (
                "no field, unknown model",
                spec("none"),
                "INVALID_ARGUMENT",
                "GetModelMetadataRequest must specify at least one metadata_field",
                "servables/tensorflow/get_model_metadata_impl.cc: the fields before the model",
            ),
            (
                "another field",
                spec("published") + 'metadata_field: "some_stuff"',
                "INVALID_ARGUMENT",
                "Metadata field some_stuff is not supported",
                f"{METADATA}.InvalidMetadataField",
            ),
            (
                "another field beside",
                spec("none") + 'metadata_field: "signature_def" metadata_field: "x"',
                "INVALID_ARGUMENT",
                "Metadata field x is not supported",
                "servables/tensorflow/get_model_metadata_impl.cc: the fields before the model",
            ),
            (
                "an unknown model",
                spec("test") + 'metadata_field: "signature_def"',
                "NOT_FOUND",
                "Servable not found for request: Latest(test)",
                f"{METADATA}.MissingOrEmptyModelSpec",
            ),
            (
                "an unknown version",
                spec("published", version="99") + 'metadata_field: "signature_def"',
                "NOT_FOUND",
                "Servable not found for request: Specific(published, 99)",
                CORE,
            ),
            (
                "an unknown label",
                spec("published", more='version_label: "x"') + 'metadata_field: "signature_def"',
                "INVALID_ARGUMENT",
                "Unrecognized servable version label: x",
                CORE,
            ),
        )
    ),
]
