"""Classify over gRPC, and the model specs that Classify and Regress refuse."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_example_text import (
    DOS,
    EIGHTY,
    EMPTY_INPUTS,
    NOTHING,
    TWO,
    X2,
    refused,
    refuses,
    scored,
)
from tests.serving.stock.grpc_text import examples, spec, with_context

CLASSIFIER = "servables/tensorflow/classifier_test.cc ClassifierTest"
CLASSIFY = "servables/tensorflow/classification_service_test.cc ClassificationServiceTest"
CLASSIFIER_CODE = "servables/tensorflow/classifier.cc"
REGRESS = "servables/tensorflow/regression_service_test.cc RegressionServiceTest"


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


def classified(id: str, sent: str, given: str, source: str, signature: str = "") -> GrpcCase:
    answer = given + spec("inference", signature or "serving_default", "1")
    return GrpcCase(
        f"Classify: {id}", "Classify", spec("inference", signature) + sent, source, response=answer
    )


TWO_ROWS = classes({"dos": 2, "uno": 1}, {"cuatro": 4, "tres": 3})

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
]
