"""Classify and Regress requests over REST that are refused, and what they are told."""

from tests.serving.stock.case import RestCase, classify, regress

TEST = "util/json_tensor_test.cc ClassifyRegressRequestTest"
VALUE = "util/json_tensor.cc AddValueToFeature"
EXAMPLE = "util/json_tensor.cc MakeExampleFromJsonObject"
FILL = "util/json_tensor.cc FillClassifyRegressRequestFromJson"
MISTAKES = (
    (
        '{"signature_name": [ "hello" ], "examples": [ { "names": [ "foo", "bar" ] } ]}',
        "'signature_name' key must be a string",
    ),
    ('{"context": [ { "names": [ "foo", "bar" ] } ]}', "Example must be JSON object"),
    ('{"examples": { "names": [ "foo", "bar" ] }}', "list/array"),
    ('{"examples": [ [ { "names": [ "foo", "bar" ] } ] ]}', "Example must be JSON object"),
    (
        '{"examples": [ { "names": [ 10, null ] } ]}',
        "names has element with unexpected JSON type: Null",
    ),
    ('{"examples": [ { "names": [ 10, 10.0 ] } ]}', "feature: names expecting type: int64"),
    (
        '{"examples": [ { "names": [ 10, { "test": 10 } ] } ]}',
        "names has element with unexpected JSON type: Object",
    ),
    (
        '{"examples": [ { "names": [ [10], 20 ] } ]}',
        "names has element with unexpected JSON type: Array",
    ),
    ('{"examples": [ { "names": [ 20, 18446744073709551603 ] } ]}', "Only int64_t is supported"),
)


def feature(name: str, kind: str, *values: str) -> str:
    """One feature in text form: feature("age", "int64", "20")."""
    listed = " ".join(f"value: {value}" for value in values)
    return f'feature {{ key: "{name}" value {{ {kind}_list {{ {listed} }} }} }}'


def refuses(body: str, error: str, source: str = VALUE, verb: str = "classify") -> RestCase:
    ask = {"classify": classify, "regress": regress}[verb]
    return ask("examples", body, error=error, source=source)


CASES = [
    *(
        refuses(body, error, f"{TEST}.JsonErrors", verb)
        for verb in ("classify", "regress")
        for body, error in MISTAKES
    ),
    refuses(
        '{"examples": [{"f": [1, "a"]}]}',
        "Unexpected element type in feature: f expecting type: int64",
    ),
    refuses(
        '{"examples": [{"f": ["a", 1]}]}',
        "Unexpected element type in feature: f expecting type: bytes",
    ),
    refuses(
        '{"examples": [{"f": ["a", true]}]}',
        "Unexpected element type in feature: f expecting type: bytes",
    ),
    refuses(
        '{"examples": [{"f": [1.0, 1]}]}',
        "Unexpected element type in feature: f expecting type: float",
    ),
    refuses(
        '{"examples": [{"f": [1.0, {"b64": "aA=="}]}]}',
        "Unexpected element type in feature: f expecting type: float",
    ),
    refuses(
        '{"examples": [{"f": null}]}', "Feature: f has element with unexpected JSON type: Null"
    ),
    refuses(
        '{"examples": [{"f": {"a": 1}}]}',
        "Feature: f has element with unexpected JSON type: Object",
    ),
    refuses(
        '{"examples": [{"f": {"b64": 1}}]}',
        "Feature: f has element with unexpected JSON type: Object",
    ),
    refuses(
        '{"examples": [{"f": [[1]]}]}', "Feature: f has element with unexpected JSON type: Array"
    ),
    refuses(
        '{"examples": [{"f": {"b64": "a"}}]}',
        "Unable to base64 decode",
        f"{VALUE} and JsonDecodeBase64Object",
    ),
    refuses(
        '{"examples": [{"f": 9223372036854775808}]}',
        "Feature: f has uint64_t element. Only int64_t is supported.",
    ),
    *(
        refuses(
            f'{{"examples": [{value}]}}',
            f"Example must be JSON object but got JSON {kind}",
            EXAMPLE,
        )
        for value, kind in (
            ("1", "Number"),
            ('"a"', "String"),
            ("null", "Null"),
            ("true", "True"),
            ("false", "False"),
            ("[]", "Array"),
        )
    ),
    refuses(
        '{"context": null, "examples": [{}]}',
        "Example must be JSON object but got JSON Null",
        EXAMPLE,
    ),
    refuses(
        '{"context": 1}',
        "Example must be JSON object but got JSON Number",
        f"{FILL}: the context before the examples",
    ),
    refuses("{}", "When method is classify, key 'examples' is expected and was not found", FILL),
    refuses(
        "{}",
        "When method is classify, key 'examples' is expected and was not found",
        f"{FILL}, which says classify for both",
        "regress",
    ),
    refuses('{"instances": [1]}', "key 'examples' is expected and was not found", FILL),
    *(
        refuses(f'{{"examples": {value}}}', "Expecting 'examples' value to be an list/array", FILL)
        for value in ("null", "1", '"a"', "{}")
    ),
    refuses('{"examples": []}', "'examples' value is an empty array", FILL),
    refuses(
        '{"signature_name": 1}',
        "'signature_name' key must be a string value.",
        f"{FILL}: the name before the examples",
    ),
    refuses("", "JSON Parse error: The document is empty", FILL),
    refuses("[]", "Is not object", FILL, "regress"),
    refuses(
        '{"signature_name": "none", "examples": [{}]}',
        "No signature was found with the name: none",
        "servables/tensorflow/classifier.cc GetClassificationSignatureDef",
    ),
    refuses(
        '{"signature_name": "none", "examples": [{}]}',
        "No signature was found with the name: none",
        "servables/tensorflow/regressor.cc GetRegressionSignatureDef",
        "regress",
    ),
]
