"""Examples and refusals that the tables of Classify, Regress and MultiInference share."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_text import examples, feature, floats, spec, with_context


def scored(**scores: float) -> str:
    """An example with the classes and their scores."""
    names = feature("class", "bytes", *(f'"{name}"' for name in scores))
    values = feature("score", "float", *(str(score) for score in scores.values()))
    return f"features {{ {names} {values} }}"


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


NOTHING = "input { }"
DOS, CUATRO = scored(dos=2, uno=1), scored(cuatro=4, tres=3)
TWO = examples(DOS, CUATRO)
EMPTY_INPUTS = (
    ("no input", "", "EmptyInput"),
    ("an empty input", NOTHING, "EmptyInput"),
    ("no examples", "input { example_list { } }", "EmptyExampleList"),
    ("a context alone", with_context(DOS), "EmptyExampleListWithContext"),
)
LOCALE = feature("locale", "bytes", '"pt_BR"')
AGE = feature("age", "float", "19")
EIGHTY = examples("features { " + feature("x", "float", "80") + LOCALE + AGE + " }")
X2 = examples(floats(x=2))
