"""GetModelStatus and GetModelMetadata over gRPC."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_text import spec

STATUS = "model_servers/get_model_status_impl_test.cc GetModelStatusImplTest"
METADATA = "servables/tensorflow/get_model_metadata_impl_test.cc GetModelMetadataImplTest"
CORE = "model_servers/server_core.cc ServableRequestFromModelSpec"


NO_STATE = "state: AVAILABLE status { }"

TENSOR = "dtype: DT_FLOAT tensor_shape { unknown_rank: true }"
SIGNATURES = (
    'metadata { key: "signature_def" value {'
    " [type.googleapis.com/tensorflow.serving.SignatureDefMap] { signature_def {"
    ' key: "serving_default" value {'
    f' inputs {{ key: "x" value {{ name: "x:0" {TENSOR} }} }}'
    f' outputs {{ key: "x" value {{ name: "Identity:0" {TENSOR} }} }}'
    ' method_name: "tensorflow/serving/predict" } } } } }'
)

CASES = [
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
        response=f"model_version_status {{ version: 2 {NO_STATE} }} model_version_status"
        f" {{ version: 1 {NO_STATE} }}",
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
            response=f"model_version_status {{ version: 2 {NO_STATE} }}"
            f" model_version_status {{ version: 1 {NO_STATE} }}",
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
    *(
        GrpcCase(
            f"GetModelMetadata: {id}",
            "GetModelMetadata",
            spec("float", version=version) + 'metadata_field: "signature_def"' * times,
            f"{METADATA}.ReturnsSignaturesForValidModel",
            response=spec("float", version="1") + SIGNATURES,
        )
        for id, version, times in (
            ("the latest version", "", 1),
            ("one version", "1", 1),
            ("the same field twice", "1", 2),
        )
    ),
]
