"""Classify and Regress over REST: how `examples` and `context` become `tf.Example`s.

The model `examples` gives each serialised example back, so that the table shows what reached it.
"""

from tests.serving.stock.case import RestCase, classify, regress

TEST = "util/json_tensor_test.cc ClassifyRegressRequestTest"
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
    classify(
        "absent",
        "{",
        error="JSON Parse error: Missing a name for object member. at offset: 1",
        source="model_servers/http_rest_api_handler.cc ProcessClassifyRequest: the JSON"
        " before the model",
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
        source="model_servers/http_rest_api_handler.cc ProcessRegressRequest: the JSON"
        " before the model",
    ),
]
