"""MultiInference over gRPC."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_example_text import X2, refuses
from tests.serving.stock.grpc_text import examples, floats, spec

MULTI = "servables/tensorflow/multi_inference_test.cc MultiInferenceTest"
HELPER = "servables/tensorflow/multi_inference_helper_test.cc MultiInferenceTest"
MULTI_CODE = "servables/tensorflow/multi_inference.cc"


def task(signature: str, method: str, model: str = "published", version: str = "1") -> str:
    return (
        f'tasks {{ {spec(model, signature, version)} method_name: "tensorflow/serving/{method}" }}'
    )


def result(signature: str, found: str, version: str = "1", model: str = "published") -> str:
    return f"results {{ {spec(model, signature, version)} {found} }}"


Y3, Y4 = (
    "regression_result { regressions { value: 3 } }",
    "regression_result { regressions { value: 4 } }",
)
Y2 = "regression_result { regressions { value: 2 } }"
SCORE3 = "classification_result { classifications { classes { score: 3 } } }"

CASES = [
    *(
        refuses("MultiInference", id, request, error, f"{MULTI}.{name} and {HELPER}.{name}", code)
        for id, request, error, code, name in (
            (
                "no input",
                task("regress_x_to_y", "regress"),
                "Input is empty",
                "INVALID_ARGUMENT",
                "MissingInputTest",
            ),
            (
                "an unknown signature",
                task("ThisSignatureDoesNotExist", "regress") + X2,
                "signature not found",
                "INVALID_ARGUMENT",
                "UndefinedSignatureTest",
            ),
            (
                "two models",
                task("regress_x_to_y", "regress")
                + task("regress_x_to_y", "regress", "ModelDoesNotExist")
                + X2,
                "must access the same model name",
                "INVALID_ARGUMENT",
                "InconsistentModelSpecsInRequestTest",
            ),
            (
                "a signature twice",
                task("regress_x_to_y", "regress") + task("regress_x_to_y", "regress") + X2,
                "Duplicate evaluation of signature: regress_x_to_y",
                "INVALID_ARGUMENT",
                "EvaluateDuplicateSignaturesTest",
            ),
            (
                "a predict task",
                task("serving_default", "predict") + X2,
                "Unsupported signature",
                "UNIMPLEMENTED",
                "UsupportedSignatureTypeTest",
            ),
        )
    ),
    GrpcCase(
        "MultiInference: one task",
        "MultiInference",
        task("regress_x_to_y", "regress") + X2,
        f"{MULTI}.ValidSingleSignatureTest",
        response=result("regress_x_to_y", Y3),
    ),
    GrpcCase(
        "MultiInference: two regressions",
        "MultiInference",
        task("regress_x_to_y", "regress") + task("regress_x_to_y2", "regress") + X2,
        f"{MULTI}.MultipleValidRegressSignaturesTest",
        response=result("regress_x_to_y", Y3) + result("regress_x_to_y2", Y4),
    ),
    GrpcCase(
        "MultiInference: regression and classification",
        "MultiInference",
        task("regress_x_to_y", "regress") + task("classify_x_to_y", "classify") + X2,
        f"{MULTI}.RegressAndClassifySignaturesTest",
        response=result("regress_x_to_y", Y3) + result("classify_x_to_y", SCORE3),
    ),
    GrpcCase(
        "MultiInference: the latest version",
        "MultiInference",
        task("regress_x_to_y", "regress", version="") + X2,
        HELPER,
        response=result("regress_x_to_y", Y3, "2"),
    ),
    GrpcCase(
        "MultiInference: the first task's version is everyone's",
        "MultiInference",
        task("regress_x_to_y", "regress", version="1")
        + task("regress_x_to_y2", "regress", version="2")
        + X2,
        f"{MULTI_CODE} and multi_inference_helper.cc",
        response=result("regress_x_to_y", Y3) + result("regress_x_to_y2", Y4),
    ),
    GrpcCase(
        "MultiInference: signatures of different inputs take the same examples",
        "MultiInference",
        task("regress", "regress", "inference")
        + task("regress_from_other", "regress", "inference")
        + examples(floats(output=2)),
        MULTI_CODE,
        response=(
            result("regress", Y2, model="inference")
            + result("regress_from_other", Y2, model="inference")
        ),
    ),
    refuses(
        "MultiInference",
        "no tasks",
        X2,
        "ModelSpec has no name specified.",
        "servables/tensorflow/multi_inference_helper.cc",
    ),
    refuses(
        "MultiInference",
        "an empty request",
        "",
        "ModelSpec has no name specified.",
        "servables/tensorflow/multi_inference_helper.cc",
    ),
    refuses(
        "MultiInference",
        "an unknown model",
        task("a", "regress", "none", "") + X2,
        "Servable not found for request: Latest(none)",
        f"{HELPER}.ModelSpecOverride",
        "NOT_FOUND",
    ),
    refuses(
        "MultiInference",
        "a second task without a name",
        task("regress_x_to_y", "regress")
        + 'tasks { method_name: "tensorflow/serving/regress" }'
        + X2,
        "Found ModelSpec with an empty model name.",
        MULTI_CODE,
    ),
    refuses(
        "MultiInference",
        "a method without a name",
        f"tasks {{ {spec('published', 'regress_x_to_y', '1')} }}" + X2,
        "Unsupported signature method_name: ",
        MULTI_CODE,
        "UNIMPLEMENTED",
    ),
    refuses(
        "MultiInference",
        "a classification of a regression",
        task("regress_x_to_y", "classify") + X2,
        "Expected classification signature outputs to contain at least one of",
        MULTI_CODE,
    ),
    refuses(
        "MultiInference",
        "a regression of a classification",
        task("classify_x_to_y", "regress") + X2,
        "No regression outputs found in SignatureDef: ",
        MULTI_CODE,
    ),
    refuses(
        "MultiInference",
        "an unknown signature before an unknown method",
        task("none", "predict") + X2,
        "Requested signature not found in model graph: none",
        MULTI_CODE,
    ),
    refuses(
        "MultiInference",
        "an unknown method before an empty input",
        task("regress_x_to_y", "explain"),
        "Unsupported signature method_name: tensorflow/serving/explain",
        MULTI_CODE,
        "UNIMPLEMENTED",
    ),
]
