"""Results of Classify and Regress as JSON."""

from tests.serving.stock.case import classify, regress

RESULT = "util/json_tensor_test.cc ClassifyRegressnResultTest"
VALUE = "util/json_tensor.cc AddValueToFeature"


def feature(name: str, kind: str, *values: str) -> str:
    """One feature in text form: feature("age", "int64", "20")."""
    listed = " ".join(f"value: {value}" for value in values)
    return f'feature {{ key: "{name}" value {{ {kind}_list {{ {listed} }} }} }}'


CASES = [
    classify(
        "inference",
        '{"examples": [{"class": ["car", "bike", "bus"], "score": [0.2, 0.7, 0.1]},'
        ' {"class": ["car", "bike", "bus"], "score": [0.7, 0.1, 0.2]}]}',
        json='{"results": [[["car", 0.2], ["bike", 0.7], ["bus", 0.1]], [["car", 0.7],'
        ' ["bike", 0.1], ["bus", 0.2]]]}',
        source=f"{RESULT}.JsonFromClassificationResult",
    ),
    classify(
        "inference",
        '{"signature_name": "scores_only", "examples": [{"class": ["a"], "score": [NaN,'
        " -Infinity]}]}",
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
        '{"signature_name": "regress", "examples": [{"output": 0.2}, {"output": 0.9},'
        ' {"output": 1.0}]}',
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
    classify(
        "inference",
        '{"examples": [{"class": {"b64": "/w=="}, "score": 1.0}]}',
        id="a label that is no UTF-8",
        holds=b'{"results":[[["\xff",1.0]]]}',
        source="util/json_tensor.cc MakeJsonFromClassificationResult: the bytes as they are",
    ),
    classify(
        "inference",
        '{"examples": [{"class": ["a\\"b", "é\\u0000"], "score": [0.1, 1e-10]}]}',
        json='{"results": [[["a\\"b", 0.1], ["é\\u0000", 1e-10]]]}',
        source="util/json_tensor.cc MakeJsonFromClassificationResult",
    ),
]
