"""Classify and Regress over REST: how `examples` and `context` become `tf.Example`s.

The model `examples` gives each serialised example back, so that the tables show what reached it.
"""

from tests.serving.stock.case import RestCase, classify, regress

TEST = "util/json_tensor_test.cc ClassifyRegressRequestTest"
RESULT = "util/json_tensor_test.cc ClassifyRegressnResultTest"
VALUE = "util/json_tensor.cc AddValueToFeature"
EXAMPLE = "util/json_tensor.cc MakeExampleFromJsonObject"
FILL = "util/json_tensor.cc FillClassifyRegressRequestFromJson"


def feature(name: str, kind: str, *values: str) -> str:
    """One feature in text form: feature("age", "int64", "20")."""
    listed = " ".join(f"value: {value}" for value in values)
    return f'feature {{ key: "{name}" value {{ {kind}_list {{ {listed} }} }} }}'


def example(*features: str) -> str:
    return "features { " + " ".join(features) + " }"


def becomes(sent: str, kind: str, *values: str, source: str = VALUE) -> RestCase:
    """A value of the feature `f`, and what the model finds in it."""
    return classify(
        "examples",
        f'{{"examples": [{{"f": {sent}}}]}}',
        id=f"a feature of {sent}",
        examples=(example(feature("f", kind, *values)),),
        source=source,
    )


def refuses(body: str, error: str, source: str = VALUE, verb: str = "classify") -> RestCase:
    ask = {"classify": classify, "regress": regress}[verb]
    return ask("examples", body, error=error, source=source)


# A mistake, and the words that tell it; for classify and regress alike.
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
QUERY = feature("query", "bytes", '"pizza"')
LOCATION = feature("location", "bytes", '"sfo"')

CASES = [
    classify(
        "examples",
        '{"examples": [{"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20},'
        ' {"names": ["baz"], "ratings": 6.0}]}',
        examples=(
            example(
                feature("names", "bytes", '"foo"', '"bar"'),
                feature("ratings", "float", "8", "9"),
                feature("age", "int64", "20"),
            ),
            example(feature("names", "bytes", '"baz"'), feature("ratings", "float", "6")),
        ),
        source=f"{TEST}.RequestNoContext",
    ),
    classify(
        "examples",
        '{"signature_name": "serving_default", "context": {"query": "pizza", "location": ["sfo"]},'
        ' "examples": [{"names": ["foo", "bar"], "ratings": [8.0, 9.0, NaN, Infinity], "age": 20},'
        ' {"names": ["baz", {"b64": "aGVsbG8="}], "ratings": 6.0, "intboolmix": [1, true, false]},'
        ' {"names": "bar", "ratings": -Infinity}]}',
        examples=(
            example(
                QUERY,
                LOCATION,
                feature("names", "bytes", '"foo"', '"bar"'),
                feature("ratings", "float", "8", "9", "nan", "inf"),
                feature("age", "int64", "20"),
            ),
            example(
                QUERY,
                LOCATION,
                feature("names", "bytes", '"baz"', '"hello"'),
                feature("ratings", "float", "6"),
                feature("intboolmix", "int64", "1", "1", "0"),
            ),
            example(
                QUERY,
                LOCATION,
                feature("names", "bytes", '"bar"'),
                feature("ratings", "float", "-inf"),
            ),
        ),
        source=f"{TEST}.RequestWithContextAndSignature",
    ),
    *(
        refuses(body, error, f"{TEST}.JsonErrors", verb)
        for verb in ("classify", "regress")
        for body, error in MISTAKES
    ),
    becomes("1", "int64", "1"),
    becomes("[1, -1]", "int64", "1", "-1"),
    becomes("true", "int64", "1"),
    becomes("[false, 5]", "int64", "0", "5"),
    becomes("9223372036854775807", "int64", "9223372036854775807"),
    becomes("-9223372036854775808", "int64", "-9223372036854775808"),
    becomes("-0", "int64", "0"),
    becomes("1.0", "float", "1"),
    becomes("1e5", "float", "100000"),
    becomes("-0.0", "float", "-0"),
    becomes("[NaN, Infinity, -Infinity]", "float", "nan", "inf", "-inf"),
    becomes("[0.1, 16777217.0]", "float", "0.1", "16777216"),
    becomes("[1e39, -1e308]", "float", "inf", "-inf"),
    becomes("1e-50", "float", "0"),
    becomes("18446744073709551616", "float", "1.8446744e+19"),
    becomes("-9223372036854775809", "float", "-9.223372e+18"),
    becomes('"a"', "bytes", '"a"'),
    becomes('""', "bytes", '""'),
    becomes('["a", {"b64": "AP8="}]', "bytes", '"a"', r'"\000\377"'),
    becomes('{"b64": "aGVsbG8="}', "bytes", '"hello"'),
    becomes('"é"', "bytes", r'"\303\251"'),
    becomes('"a\\u0000b"', "bytes", r'"a\000b"'),
    classify(
        "examples",
        '{"examples": [{"f": []}]}',
        examples=('features { feature { key: "f" value {} } }',),
        source=EXAMPLE,
    ),
    classify("examples", '{"examples": [{}]}', examples=("",), source=EXAMPLE),
    classify("examples", '{"examples": [{}, {}]}', examples=("", ""), source=EXAMPLE),
    classify(
        "examples",
        '{"examples": [{"f": 1, "f": 2}]}',
        id="the last of two equal features",
        examples=(example(feature("f", "int64", "2")),),
        source=EXAMPLE,
    ),
    classify(
        "examples",
        '{"context": {}, "examples": [{"f": 1}]}',
        examples=(example(feature("f", "int64", "1")),),
        source=FILL,
    ),
    classify(
        "examples",
        '{"context": {"f": "c", "g": 2}, "examples": [{"f": 1}, {}]}',
        id="an example's feature before that of the context",
        examples=(
            example(feature("f", "int64", "1"), feature("g", "int64", "2")),
            example(feature("f", "bytes", '"c"'), feature("g", "int64", "2")),
        ),
        source="servables/tensorflow/util_test.cc InputUtilTest.ExampleListWithOverridingContext",
    ),
    classify(
        "examples",
        '{"examples": [{"f": 1}], "context": {"g": 2}}',
        id="a context behind the examples",
        examples=(example(feature("f", "int64", "1"), feature("g", "int64", "2")),),
        source=FILL,
    ),
    classify(
        "examples",
        '{"examples": [{"f": 1}], "instances": 5, "inputs": null}',
        id="keys of Predict beside examples",
        examples=(example(feature("f", "int64", "1")),),
        source=FILL,
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
    classify(
        "absent",
        "{",
        error="JSON Parse error: Missing a name for object member. at offset: 1",
        source="model_servers/http_rest_api_handler.cc ProcessClassifyRequest: the JSON before the model",
    ),
    classify(
        "absent",
        '{"examples": [{}]}',
        status=404,
        error="Servable not found for request: Latest(absent)",
        source="model_servers/http_rest_api_handler.cc ProcessClassifyRequest",
    ),
    regress(
        "absent",
        '{"examples": []}',
        error="'examples' value is an empty array",
        source="model_servers/http_rest_api_handler.cc ProcessRegressRequest: the JSON before the model",
    ),
    classify(
        "inference",
        '{"examples": [{"class": ["car", "bike", "bus"], "score": [0.2, 0.7, 0.1]},'
        ' {"class": ["car", "bike", "bus"], "score": [0.7, 0.1, 0.2]}]}',
        json='{"results": [[["car", 0.2], ["bike", 0.7], ["bus", 0.1]], [["car", 0.7], ["bike", 0.1], ["bus", 0.2]]]}',
        source=f"{RESULT}.JsonFromClassificationResult",
    ),
    classify(
        "inference",
        '{"signature_name": "scores_only", "examples": [{"class": ["a"], "score": [NaN, -Infinity]}]}',
        json='{"results": [[["", NaN], ["", -Infinity]]]}',
        source="util/json_tensor.cc MakeJsonFromClassificationResult",
    ),
    classify(
        "inference",
        '{"signature_name": "classes_only", "examples": [{"class": ["a", "b"]}]}',
        json='{"results": [[["a", 0.0], ["b", 0.0]]]}',
        source="util/json_tensor.cc MakeJsonFromClassificationResult",
    ),
    classify(
        "inference",
        '{"examples": [{}]}',
        id="an example without classes",
        json='{"results": [[]]}',
        source="util/json_tensor.cc MakeJsonFromClassificationResult",
    ),
    regress(
        "inference",
        '{"signature_name": "regress", "examples": [{"output": 0.2}, {"output": 0.9}, {"output": 1.0}]}',
        json='{"results": [0.2, 0.9, 1.0]}',
        source=f"{RESULT}.JsonFromRegressionResult",
    ),
    regress(
        "inference",
        '{"signature_name": "regress", "examples": [{"output": 0.2}, {"output": Infinity},'
        ' {"output": 1.0}, {"output": -Infinity}, {"output": NaN}]}',
        json='{"results": [0.2, Infinity, 1.0, -Infinity, NaN]}',
        source=f"{RESULT}.JsonFromRegressionResultWithNonFinite",
    ),
    regress(
        "examples",
        '{"signature_name": "regress", "examples": [{"x": 0.3333333333}, {"x": 9000000.0}, {}]}',
        json='{"results": [0.333333343, 9e+06, -1.0]}',
        source="util/json_tensor.cc MakeJsonFromRegressionResult and WriteDecimal",
    ),
    regress(
        "examples",
        '{"signature_name": "regress_whole", "examples": [{"n": 7}, {"n": true}]}',
        json='{"results": [7.0, 1.0]}',
        source=VALUE,
    ),
    regress(
        "examples",
        '{"signature_name": "regress", "examples": [{"x": 7}]}',
        id="a whole number for a float feature is the model's error",
        status=400,
        source=f"{VALUE}: a whole number is int64; the graph refuses it",
    ),
]
