"""Classify, Regress and MultiInference over gRPC."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_predict_cases import spec

CLASSIFIER = "servables/tensorflow/classifier_test.cc ClassifierTest"
CLASSIFY = "servables/tensorflow/classification_service_test.cc ClassificationServiceTest"
CLASSIFIER_CODE = "servables/tensorflow/classifier.cc"
REGRESSOR = "servables/tensorflow/regressor_test.cc RegressorTest"
REGRESS = "servables/tensorflow/regression_service_test.cc RegressionServiceTest"
REGRESSOR_CODE = "servables/tensorflow/regressor.cc"
MULTI = "servables/tensorflow/multi_inference_test.cc MultiInferenceTest"
HELPER = "servables/tensorflow/multi_inference_helper_test.cc MultiInferenceTest"
MULTI_CODE = "servables/tensorflow/multi_inference.cc"
INPUT = "servables/tensorflow/util_test.cc InputUtilTest"


def feature(name: str, kind: str, *values: str) -> str:
    listed = " ".join(f"value: {value}" for value in values)
    return f'feature {{ key: "{name}" value {{ {kind}_list {{ {listed} }} }} }}'


def scored(**scores: float) -> str:
    """An example with the classes and their scores."""
    names = feature("class", "bytes", *(f'"{name}"' for name in scores))
    values = feature("score", "float", *(str(score) for score in scores.values()))
    return f"features {{ {names} {values} }}"


def floats(**values: float) -> str:
    """An example with float features: floats(x=2)."""
    found = (feature(name, "float", str(value)) for name, value in values.items())
    return "features { " + " ".join(found) + " }"


def examples(*content: str) -> str:
    listed = " ".join(f"examples {{ {example} }}" for example in content)
    return f"input {{ example_list {{ {listed} }} }}"


def with_context(context: str, *content: str) -> str:
    listed = " ".join(f"examples {{ {example} }}" for example in content)
    return f"input {{ example_list_with_context {{ {listed} context {{ {context} }} }} }}"


def classes(*rows: dict[str, float]) -> str:
    """A result; a name that begins with an underscore is no label, a score of None is none."""
    found = []
    for row in rows:
        entries = []
        for name, score in row.items():
            label = "" if name.startswith("_") else f'label: "{name}"'
            entries.append(f"classes {{ {label} {'' if score is None else f'score: {score}'} }}")
        found.append("classifications { " + " ".join(entries) + " }")
    return "result { " + " ".join(found) + " }"


def values(*numbers: float) -> str:
    return "result { " + " ".join(f"regressions {{ value: {n} }}" for n in numbers) + " }"


def classified(id: str, sent: str, given: str, source: str, signature: str = "") -> GrpcCase:
    answer = given + spec("inference", signature or "serving_default", "1")
    return GrpcCase(
        f"Classify: {id}", "Classify", spec("inference", signature) + sent, source, response=answer
    )


def regressed(id: str, sent: str, given: str, source: str, signature: str = "regress") -> GrpcCase:
    answer = given + spec("inference", signature, "1")
    return GrpcCase(
        f"Regress: {id}", "Regress", spec("inference", signature) + sent, source, response=answer
    )


def refuses(
    method: str, id: str, request: str, error: str, source: str, code: str = "INVALID_ARGUMENT"
) -> GrpcCase:
    return GrpcCase(f"{method}: {id}", method, request, source, code=code, error=error)


def refused(
    method: str,
    signature: str,
    error: str,
    source: str,
    code: str = "INVALID_ARGUMENT",
    sent: str = "",
) -> GrpcCase:
    request = spec("inference", signature) + (sent or TWO)
    return refuses(
        method,
        f"{signature}{' without input' if sent == NOTHING else ''}",
        request,
        error,
        source,
        code,
    )


def task(signature: str, method: str, model: str = "published", version: str = "1") -> str:
    return (
        f'tasks {{ {spec(model, signature, version)} method_name: "tensorflow/serving/{method}" }}'
    )


def result(signature: str, found: str, version: str = "1", model: str = "published") -> str:
    return f"results {{ {spec(model, signature, version)} {found} }}"


NOTHING = "input { }"
DOS, CUATRO = scored(dos=2, uno=1), scored(cuatro=4, tres=3)
TWO = examples(DOS, CUATRO)
TWO_ROWS = classes({"dos": 2, "uno": 1}, {"cuatro": 4, "tres": 3})
EMPTY_INPUTS = (
    ("no input", "", "EmptyInput"),
    ("an empty input", NOTHING, "EmptyInput"),
    ("no examples", "input { example_list { } }", "EmptyExampleList"),
    ("a context alone", with_context(DOS), "EmptyExampleListWithContext"),
)
EIGHTY = examples(
    f"features {{ {feature('x', 'float', '80')} {feature('locale', 'bytes', chr(34) + 'pt_BR' + chr(34))} {feature('age', 'float', '19')} }}"
)
X2 = examples(floats(x=2))
Y3, Y4 = (
    "regression_result { regressions { value: 3 } }",
    "regression_result { regressions { value: 4 } }",
)
Y2 = "regression_result { regressions { value: 2 } }"
SCORE3 = "classification_result { classifications { classes { score: 3 } } }"

CASES = [
    classified("two examples", TWO, TWO_ROWS, f"{CLASSIFIER}.ExampleList"),
    classified(
        "a context alone in each example",
        with_context(DOS, "", ""),
        classes({"dos": 2, "uno": 1}, {"dos": 2, "uno": 1}),
        f"{CLASSIFIER}.ExampleListWithContext",
    ),
    classified(
        "an example's features before those of the context",
        with_context(scored(uno=1, dos=2), "", scored(tres=3, cuatro=4)),
        classes({"uno": 1, "dos": 2}, {"tres": 3, "cuatro": 4}),
        f"{CLASSIFIER}.ExampleListWithContext_DuplicateFeatures",
    ),
    classified(
        "classes alone",
        TWO,
        classes({"dos": None, "uno": None}, {"cuatro": None, "tres": None}),
        f"{CLASSIFIER}.ClassesOnly",
        "classes_only",
    ),
    classified(
        "scores alone",
        TWO,
        classes({"_1": 2, "_2": 1}, {"_1": 4, "_2": 3}),
        f"{CLASSIFIER}.ScoresOnly",
        "scores_only",
    ),
    classified(
        "a score of zero",
        examples(scored(minus=-1, zero=0, one=1)),
        classes({"_1": -1, "_2": 0, "_3": 1}),
        f"{CLASSIFIER}.ZeroScoresArePresent",
        "scores_only",
    ),
    classified(
        "a named signature",
        TWO,
        classes({"dos": 3, "uno": 2}, {"cuatro": 5, "tres": 4}),
        f"{CLASSIFIER}.ValidNamedSignature",
        "output_plus_one",
    ),
    classified(
        "method_name is not looked at",
        examples(DOS),
        classes({"dos": 2, "uno": 1}),
        f"{CLASSIFIER}.MethodNameCheck (off by default)",
    ),
    classified(
        "an example without features",
        examples(""),
        "result { classifications { } }",
        CLASSIFIER_CODE,
    ),
    refused(
        "Classify",
        "regress",
        "Expected classification signature outputs to contain at least one of",
        f"{CLASSIFIER}.InvalidNamedSignature",
    ),
    refused(
        "Classify",
        "deep_scores",
        "Expected Tensor shape: [batch_size num_classes] but got [2,2,1]",
        f"{CLASSIFIER}.MalformedScores",
    ),
    refused(
        "Classify",
        "flat_classes",
        "Expected Tensor shape: [batch_size num_classes] but got [2]",
        CLASSIFIER_CODE,
    ),
    refused(
        "Classify",
        "empty",
        "Expected one input Tensor.",
        f"{CLASSIFIER}.MissingClassificationSignature",
    ),
    *(
        refuses("Classify", id, spec("inference") + sent, "Input is empty", f"{CLASSIFIER}.{name}")
        for id, sent, name in EMPTY_INPUTS
    ),
    refused("Classify", "fails", "Run totally failed", f"{CLASSIFIER}.RunsFails"),
    refused(
        "Classify",
        "one_row_of_classes",
        "Expected classes output batch size of 2. Got: 1",
        f"{CLASSIFIER}.ClassesIncorrectTensorBatchSize",
    ),
    refused(
        "Classify",
        "float_classes",
        "Expected classes Tensor of DT_STRING. Got: DT_FLOAT",
        f"{CLASSIFIER}.ClassesIncorrectTensorType",
    ),
    refused(
        "Classify",
        "one_row_of_scores",
        "Expected scores output batch size of 2. Got: 1",
        f"{CLASSIFIER}.ScoresIncorrectTensorBatchSize",
    ),
    refused(
        "Classify",
        "string_scores",
        "Expected scores Tensor of DT_FLOAT. Got: DT_STRING",
        f"{CLASSIFIER}.ScoresIncorrectTensorType",
    ),
    refused(
        "Classify",
        "more_scores",
        "Tensors class and score should match in dim_size(1). Got 2 vs. 3",
        f"{CLASSIFIER}.MismatchedNumberOfTensorClasses",
    ),
    refused(
        "Classify", "three_outputs", "Expected one or two output Tensors, found 3", CLASSIFIER_CODE
    ),
    refused("Classify", "two_inputs", "Expected one input Tensor.", CLASSIFIER_CODE),
    refused(
        "Classify",
        "other_input",
        "No classification inputs found in SignatureDef: ",
        CLASSIFIER_CODE,
    ),
    refused(
        "Classify",
        "other_outputs",
        "Expected classification signature outputs to contain at least one of",
        CLASSIFIER_CODE,
    ),
    refused(
        "Classify",
        "other_input",
        "No classification inputs found in SignatureDef: ",
        f"{CLASSIFIER_CODE}: the signature before the input",
        sent=NOTHING,
    ),
    refused(
        "Classify",
        "none",
        "No signature was found with the name: none",
        f"{CLASSIFIER_CODE}: the signature before the input",
        sent=NOTHING,
    ),
    refused(
        "Classify",
        "invalid_signature_name",
        "No signature was found with the name: invalid_signature_name",
        f"{CLASSIFY}.InvalidSignature",
    ),
    GrpcCase(
        "Classify: x to y",
        "Classify",
        spec("published", "classify_x_to_y", "1") + EIGHTY,
        f"{CLASSIFY}.ClassificationSuccess",
        response=classes({"_1": 42}) + spec("published", "classify_x_to_y", "1"),
    ),
    *(
        refuses(method, id, request, error, f"{suite}.InvalidModelSpec", code)
        for method, suite in (("Classify", CLASSIFY), ("Regress", REGRESS))
        for id, request, error, code in (
            ("no model_spec", X2, "Missing ModelSpec", "INVALID_ARGUMENT"),
            (
                "no name",
                "model_spec { }" + X2,
                "ModelSpec has no name specified.",
                "INVALID_ARGUMENT",
            ),
            (
                "an unknown model",
                spec("foo") + X2,
                "Servable not found for request: Latest(foo)",
                "NOT_FOUND",
            ),
            (
                "an unknown version",
                spec("published", version="99") + X2,
                "Servable not found for request: Specific(published, 99)",
                "NOT_FOUND",
            ),
            (
                "an unknown label",
                spec("published", more='version_label: "none"') + X2,
                "Unrecognized servable version label: none",
                "INVALID_ARGUMENT",
            ),
        )
    ),
    regressed(
        "two examples",
        examples(floats(output=2), floats(output=3)),
        values(2, 3),
        f"{REGRESSOR}.BasicExampleList",
    ),
    regressed(
        "a context alone in each example",
        with_context(floats(output=3), "", ""),
        values(3, 3),
        f"{REGRESSOR}.BasicExampleListWithContext",
    ),
    regressed(
        "a named signature",
        examples(floats(output=2), floats(output=3)),
        values(3, 4),
        f"{REGRESSOR}.ValidNamedSignature",
        "regress_plus_one",
    ),
    regressed(
        "a column",
        examples(floats(output=2), floats(output=3)),
        values(2, 3),
        REGRESSOR_CODE,
        "regress_column",
    ),
    regressed(
        "the last of two features of one name",
        with_context(floats(output=1), floats(output=5)),
        values(5),
        f"{INPUT}.ExampleListWithOverridingContext",
    ),
    regressed(
        "no context",
        "input { example_list_with_context { examples { " + floats(output=4) + " } } }",
        values(4),
        f"{INPUT}.ExampleListWithContext_NoContext",
    ),
    refused(
        "Regress",
        "serving_default",
        "Expected one output Tensor.",
        f"{REGRESSOR}.InvalidNamedSignature",
    ),
    refused(
        "Regress",
        "regress_two_columns",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        f"{REGRESSOR}.MalformedOutputs",
    ),
    refused(
        "Regress",
        "regress_deep",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,1,1]",
        f"{REGRESSOR}.MalformedOutputs",
    ),
    refused(
        "Regress",
        "regress_scalar",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
        REGRESSOR_CODE,
    ),
    *(
        refuses(
            "Regress",
            id,
            spec("inference", "regress") + sent,
            "Input is empty",
            f"{REGRESSOR}.{name}",
        )
        for id, sent, name in EMPTY_INPUTS
    ),
    refused("Regress", "regress_fails", "Run totally failed", f"{REGRESSOR}.RunsFails"),
    refused(
        "Regress",
        "regress_one_row",
        "Input batch size did not match output batch size: 2 vs. 1",
        f"{REGRESSOR}.UnexpectedOutputTensorSize",
    ),
    refused(
        "Regress",
        "regress_strings",
        "Expected output Tensor of DT_FLOAT.  Got: DT_STRING",
        f"{REGRESSOR}.UnexpectedOutputTensorType",
    ),
    refused(
        "Regress", "empty", "Expected one input Tensor.", f"{REGRESSOR}.MissingRegressionSignature"
    ),
    refused("Regress", "regress_two", "Expected one output Tensor.", REGRESSOR_CODE),
    refused("Regress", "regress_two_inputs", "Expected one input Tensor.", REGRESSOR_CODE),
    refused(
        "Regress",
        "regress_other_input",
        "No regression inputs found in SignatureDef: ",
        REGRESSOR_CODE,
    ),
    refused(
        "Regress",
        "regress_other_name",
        "No regression outputs found in SignatureDef: ",
        REGRESSOR_CODE,
    ),
    refused(
        "Regress",
        "regress_other_name",
        "No regression outputs found in SignatureDef: ",
        f"{REGRESSOR_CODE}: the signature before the input",
        sent=NOTHING,
    ),
    refused(
        "Regress",
        "invalid_signature_name",
        "No signature was found with the name: invalid_signature_name",
        f"{REGRESS}.InvalidSignature",
    ),
    GrpcCase(
        "Regress: x to y",
        "Regress",
        spec("published", "regress_x_to_y", "1") + EIGHTY,
        f"{REGRESS}.RegressionSuccess",
        response=values(42) + spec("published", "regress_x_to_y", "1"),
    ),
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
