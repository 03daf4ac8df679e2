"""Numbers: which JSON number becomes a value of which type, and how values are written.

Values are those that the models of one type give back: what arrived, written again.
"""

from tests.serving.stock.case import predict

TEST = "util/json_tensor_test.cc JsontensorTest"
ADD = "util/json_tensor.cc AddValueToTensor"
WRITE = "util/json_tensor.cc WriteDecimal"
PARSE = "util/json_tensor.cc ParseJson (RapidJSON's numbers)"
LARGEST_DOUBLE, SMALLEST_DOUBLE = "1.79769e+308", "2.22507e-308"
INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
}


def gives(model: str, sent: str, written: str, source: str = ADD, **more: object):
    return predict(
        model,
        f'{{"instances": [{sent}]}}',
        id=f"{model} takes {sent[:40]}",
        json=f'{{"predictions": [{written}]}}',
        source=source,
        **more,
    )


def refuses(model: str, sent: str, kind: str = "Number"):
    """The value is quoted where it is written as it came."""
    quoted = "" if kind == "Number" and not sent.isdigit() else f"JSON Value: {sent} "
    return predict(
        model,
        f'{{"instances": [{sent}]}}',
        id=f"{model} refuses {sent[:40]}",
        error=f"{quoted}Type: {kind} is not of expected type: {model}",
        source=f"{ADD} and TypeError",
    )


CASES = [
    gives(
        "float",
        "1, 2.0, 3, 4, 5.003, 0.007, 0.0",
        "1.0, 2.0, 3.0, 4.0, 5.003, 0.007, 0.0",
        f"{TEST}.MixedInputForFloatTensor",
    ),
    gives(
        "double",
        "1.0, 2, 3, 4, 0.662, 0, 0.0",
        "1.0, 2.0, 3.0, 4.0, 0.662, 0.0, 0.0",
        f"{TEST}.MixedInputForDoubleTensor",
    ),
    gives("float", "1435774380", "1.43577434e+09", f"{TEST}.FloatTensorWithPrecisionLoss"),
    gives("float", "1435774380.0", "1.43577434e+09", f"{TEST}.FloatTensorWithPrecisionLoss"),
    gives(
        "float",
        f"{LARGEST_DOUBLE}, -{LARGEST_DOUBLE}",
        "Infinity, -Infinity",
        f"{TEST}.FloatTensorThatExceedsMaxReturnsInf",
    ),
    gives(
        "float",
        f"{SMALLEST_DOUBLE}, -{SMALLEST_DOUBLE}",
        "0.0, -0.0",
        f"{TEST}.FloatTensorThatExceedsMinReturnsZero",
    ),
    gives(
        "float",
        "9000000, 999999, 0.50000, 0.0003, 0.00003, 555557.5",
        "9e+06, 999999.0, 0.5, 0.0003, 3e-05, 555557.5",
        f"{TEST}.FromJsonSingleFloatTensorSixDigitPrecision",
    ),
    gives(
        "float",
        "NaN, Infinity, 3, -Infinity",
        "NaN, Infinity, 3.0, -Infinity",
        f"{TEST}.FromJsonSingleFloatTensorNonFinite",
    ),
    gives("double", "NaN, Infinity, -Infinity", "NaN, Infinity, -Infinity", PARSE),
    gives("float", "Inf, -Inf, -NaN", "Infinity, -Infinity, NaN", PARSE),
    gives("float", "-0", "0.0", PARSE),
    gives("float", "-0.0", "-0.0", PARSE),
    gives("double", "-0, -0.0, -0e0", "0.0, -0.0, -0.0", PARSE),
    gives("float", "1e5, 1E+5, 1.5e3, 1e-5", "100000.0, 100000.0, 1500.0, 1e-05", PARSE),
    gives("float", "1e38, 3.4028235e38", "1e+38, 3.40282347e+38", WRITE),
    gives("float", "3.4028236e38, 1e39, 1e308", "Infinity, Infinity, Infinity"),
    gives("float", "1.8e308, -1.8e308", "Infinity, -Infinity", PARSE),
    gives("double", "1.8e308, -1.8e308", "Infinity, -Infinity", PARSE),
    gives("double", "1e308, 1.7976931348623157e308", "1e+308, 1.7976931348623157e+308", PARSE),
    gives("float", "1e-46, 1e-999, 1e-99999999999", "0.0, 0.0, 0.0", PARSE),
    gives("double", "5e-324, 1e-999", "4.94066e-324, 0.0", PARSE),
    gives("float", "16777216, 16777217, -16777217", "16777216.0, 16777216.0, -16777216.0"),
    gives("float", "33554433, 2147483647", "33554432.0, 2.14748365e+09"),
    gives("float", "4294967295, 9223372036854775807", "4.2949673e+09, 9.22337204e+18"),
    gives("float", "18446744073709551615", "1.84467441e+19"),
    gives("float", "18446744073709551616, -9223372036854775809", "1.84467441e+19, -9.22337204e+18"),
    gives("float", "123456789012345678901234567890", "1.23456789e+29", PARSE),
    gives("double", "9007199254740993", "9007199254740992.0"),
    gives("double", "9223372036854775807", "9.2233720368547758e+18"),
    gives("double", "18446744073709551615", "1.8446744073709552e+19"),
    gives(
        "double",
        "18446744073709551616, -9223372036854775809",
        "1.8446744073709552e+19, -9.2233720368547758e+18",
    ),
    gives("float", "0.1, 0.2, 0.3333333333333333", "0.1, 0.2, 0.333333343", WRITE),
    gives("double", "0.1, 0.2, 0.3333333333333333", "0.1, 0.2, 0.33333333333333331", WRITE),
    gives("float", "1234567, 123456.7, 123456789", "1234567.0, 123456.703, 123456792.0", WRITE),
    gives("double", "1234567, 1000000, 1e15, 1e16", "1234567.0, 1e+06, 1e+15, 1e+16", WRITE),
    gives("double", "1234567890123456789", "1.2345678901234568e+18", WRITE),
    gives("float", "1000000, 10000000, 1e10", "1e+06, 1e+07, 1e+10", WRITE),
    gives("float", "0.001, 0.0001, 0.00001234567", "0.001, 0.0001, 1.23456703e-05", WRITE),
    gives("double", "16777217, 0.1e1", "16777217.0, 1.0", WRITE),
    gives("float", "1.1754943508e-38", "1.17549435e-38", WRITE),
    *(gives(m, f"{low}, {high}", f"{low}, {high}") for m, (low, high) in INTEGERS.items()),
    *(gives(m, "-0, 0, 1", "0, 0, 1", PARSE) for m in INTEGERS),
    *(refuses(m, str(INTEGERS[m][1] + 1)) for m in ("int32", "uint32", "int64")),
    *(refuses(m, str(INTEGERS[m][0] - 1)) for m in ("int32", "uint32", "uint64")),
    refuses("uint64", "1e20"),
    refuses("int64", "-9223372036854775809"),
    *(refuses(m, "1.0") for m in INTEGERS),
    *(refuses(m, "1e5") for m in ("int32", "int64", "uint64")),
    *(refuses(m, "1.5") for m in ("int32", "int64", "uint8")),
    *(refuses(m, "NaN") for m in ("int32", "int64", "uint64")),
    *(
        predict(
            "int64",
            f'{{"instances": [{text}]}}',
            id=f"int64 refuses {text}",
            error="is not of expected type: int64",
            source=ADD,
        )
        for text in ("1e1", "-0.0", "Infinity", "9223372036854775808.0")
    ),
    *(
        refuses(m, sent, kind)
        for m in ("float", "double", "int32", "int64", "uint8", "uint64")
        for sent, kind in (
            ('"1"', "String"),
            ("true", "True"),
            ("false", "False"),
            ("null", "Null"),
        )
    ),
    refuses("int8", '"a"', "String"),
    refuses("int16", "true", "True"),
    refuses("uint32", "null", "Null"),
    refuses("float", '"NaN"', "String"),
    gives("bool", "true, false", "true, false"),
    *(
        refuses("bool", sent, kind)
        for sent, kind in (("1", "Number"), ("0", "Number"), ('"true"', "String"), ("null", "Null"))
    ),
    *(
        gives(
            model,
            sent,
            written,
            f"{ADD}, and TensorFlow's narrowing of int_val",
        )
        for model, sent, written in (
            ("int8", "128, -129, 300", "-128, 127, 44"),
            ("uint8", "256, -1, 300", "0, 255, 44"),
            ("int16", "32768, -32769, 70000", "-32768, 32767, 4464"),
        )
    ),
    *(
        case
        for model in ("half", "bfloat16", "uint16", "complex64")
        for case in (
            predict(
                model,
                '{"inputs": [1]}',
                status=501,
                error=f"Conversion of JSON Value: 1 to type: {model}",
                source=f"{ADD} has no such type",
            ),
            predict(
                model,
                '{"instances": [1]}',
                error="Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: "
                f"Conversion of JSON Value: 1 to type: {model}",
                source=f"{ADD} and FillTensorMapFromInstancesList",
            ),
        )
    ),
]
