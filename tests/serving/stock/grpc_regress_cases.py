"""Regress over gRPC."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_example_text import (
    EIGHTY,
    EMPTY_INPUTS,
    NOTHING,
    refused,
    refuses,
)
from tests.serving.stock.grpc_text import (
    examples,
    floats,
    spec,
    values,
    with_context,
)

REGRESSOR = "servables/tensorflow/regressor_test.cc RegressorTest"
REGRESS = "servables/tensorflow/regression_service_test.cc RegressionServiceTest"
REGRESSOR_CODE = "servables/tensorflow/regressor.cc"
INPUT = "servables/tensorflow/util_test.cc InputUtilTest"


def regressed(id: str, sent: str, given: str, source: str, signature: str = "regress") -> GrpcCase:
    answer = given + spec("inference", signature, "1")
    return GrpcCase(
        f"Regress: {id}", "Regress", spec("inference", signature) + sent, source, response=answer
    )


CASES = [
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
]
