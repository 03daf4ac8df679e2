"""Bodies as JSON: what parses, what does not, and which of several mistakes is told.

TensorFlow Serving parses with RapidJSON 1.1.0: iteratively, with NaN and Inf, and stopping behind
the first value. Offsets count bytes.
"""

from tests.serving.stock.case import predict

PARSE = "util/json_tensor.cc ParseJson"
TEST = "util/json_tensor_test.cc"
ONE = '{"predictions": [1]}'
DEEP = "[" * 500_000 + "]" * 500_000


def fails(id: str, body: str | bytes, error: str, at: int, **more: object):
    """A document that does not parse."""
    return predict(
        "int32",
        body,
        id=f"parse error: {id}",
        error=f"JSON Parse error: {error} at offset: {at}",
        source=PARSE,
        **more,
    )


def parses(id: str, body: str | bytes, json: str = ONE, source: str = PARSE, **more: object):
    return predict("int32", body, id=f"parses: {id}", json=json, source=source, **more)


EMPTY = "The document is empty."
VALUE = "Invalid value."
NAME = "Missing a name for object member."
COLON = "Missing a colon after a name of object member."
MEMBER = "Missing a comma or '}' after an object member."
ELEMENT = "Missing a comma or ']' after an array element."
QUOTE = "Missing a closing quotation mark in string."
ESCAPE = "Invalid escape character in string."
HEX = "Incorrect hex digit after \\u escape in string."
SURROGATE = "The surrogate pair in string is invalid."
FRACTION = "Miss fraction part in number."
EXPONENT = "Miss exponent in number."
TOO_BIG = "Number too big to be stored in double."

CASES = [
    predict(
        "int32",
        "",
        id="parse error: no body",
        error="JSON Parse error: The document is empty",
        source=f"{TEST} JsontensorTest.SingleUnnamedTensorErrors",
    ),
    fails("white space alone", " ", EMPTY, 1),
    fails("line ends alone", "\r\n\t", EMPTY, 3),
    fails("a zero byte", b"\0", EMPTY, 0),
    fails("a zero byte first", b'\0{"instances":[1]}', EMPTY, 0),
    fails("a zero byte inside", b'{"instances":[1]\0}', MEMBER, 16),
    fails("no JSON", "instances = [1, 2]", VALUE, 0),
    fails("single quotes", "{'instances':[1]}", NAME, 1),
    fails("a name without quotes", "{instances:[1]}", NAME, 1),
    fails("a number as name", "{1:2}", NAME, 1),
    fails("a comma behind the last member", '{"instances":[1],}', NAME, 17),
    fails("a comma before the first member", '{,"instances":[1]}', NAME, 1),
    fails("two commas between members", '{"a":1,,"instances":[1]}', NAME, 7),
    fails("a comma behind the last element", '{"instances":[1,]}', VALUE, 16),
    fails("a comma before the first element", '{"instances":[,1]}', VALUE, 14),
    fails("no comma between elements", '{"instances":[1 2]}', ELEMENT, 16),
    fails("no colon", '{"a" 1}', COLON, 5),
    fails("no value", '{"a":}', VALUE, 5),
    fails("the wrong bracket", "[}", VALUE, 1),
    fails("brackets crossed", '{"instances":[1}]', ELEMENT, 15),
    fails("an opening brace alone", "{", NAME, 1),
    fails("ends in a name", '{"inst', QUOTE, 6),
    fails("ends behind a name", '{"instances"', COLON, 12),
    fails("ends behind a colon", '{"instances":', VALUE, 13),
    fails("ends behind a value", '{"instances":[1]', MEMBER, 16),
    fails("a comment first", '// c\n{"instances":[1]}', VALUE, 0),
    fails("a comment inside", '{/*c*/"instances":[1]}', NAME, 1),
    fails("a vertical tab first", b'\x0b{"instances":[1]}', VALUE, 0),
    fails("a no-break space first", b'\xa0{"instances":[1]}', VALUE, 0),
    fails("UTF-16", b'\xff\xfe{\0"\0', VALUE, 0),
    fails("a literal cut short", '{"instances":[tru]}', VALUE, 17),
    fails("null cut short", '{"instances":[nul]}', VALUE, 17),
    fails("a literal of Python", '{"instances":[True]}', VALUE, 14),
    fails("nan in lower case", '{"instances":[nan]}', VALUE, 15),
    fails("inf in lower case", '{"instances":[inf]}', VALUE, 14),
    fails("Infinity cut short", '{"instances":[Infin]}', VALUE, 19),
    fails("NaN cut short", '{"instances":[Na]}', VALUE, 16),
    fails("a plus sign before Infinity", '{"instances":[+Infinity]}', VALUE, 14),
    fails("a digit behind NaN", '{"instances":[NaN1]}', ELEMENT, 17),
    fails("a digit behind Infinity", '{"instances":[Infinity2]}', ELEMENT, 22),
    fails("a leading zero", '{"instances":[01]}', ELEMENT, 15),
    fails("two zeros", '{"instances":[00]}', ELEMENT, 15),
    fails("a leading zero behind a minus sign", '{"instances":[-01]}', ELEMENT, 16),
    fails("hexadecimal", '{"instances":[0x10]}', ELEMENT, 15),
    fails("an underscore", '{"instances":[1_000]}', ELEMENT, 15),
    fails("no digit behind the point", '{"instances":[1.]}', FRACTION, 16),
    fails("an exponent behind the point", '{"instances":[1.e5]}', FRACTION, 16),
    fails("no digit before the point", '{"instances":[.5]}', VALUE, 14),
    fails("a plus sign", '{"instances":[+1]}', VALUE, 14),
    fails("a minus sign alone", '{"instances":[-]}', VALUE, 15),
    fails("two minus signs", '{"instances":[--1]}', VALUE, 15),
    fails("an exponent without digits", '{"instances":[1e]}', EXPONENT, 16),
    fails("an exponent's sign without digits", '{"instances":[1e+]}', EXPONENT, 17),
    fails("beyond a double", '{"instances":[1e999]}', TOO_BIG, 14),
    fails("beyond a double, negative", '{"instances":[-1e999]}', TOO_BIG, 14),
    fails("an exponent just too large", '{"instances":[1e309]}', TOO_BIG, 14),
    fails("zero with an exponent too large", '{"instances":[0e999]}', TOO_BIG, 14),
    fails("310 digits", '{"instances":[' + "1" * 310 + "]}", TOO_BIG, 14),
    fails("a string without end", '{"instances":["abc]}', QUOTE, 20),
    fails("a zero byte in a string", b'{"instances":["a\0b"]}', QUOTE, 16),
    fails("a line end in a string", '{"instances":["a\nb"]}', ESCAPE, 16),
    fails("a tab in a string", '{"instances":["a\tb"]}', ESCAPE, 16),
    fails("a control character in a name", '{"a\x1fb":1}', ESCAPE, 3),
    fails("an unknown escape", '{"instances":["\\x41"]}', ESCAPE, 15),
    fails("an escape of three hex digits", '{"instances":["\\uD8"]}', HEX, 15),
    fails("an escape with a wrong digit", '{"instances":["\\u00g0"]}', HEX, 15),
    fails("half a surrogate pair", '{"instances":["\\ud83d"]}', SURROGATE, 15),
    fails("half a surrogate pair, then text", '{"instances":["\\ud83dx"]}', SURROGATE, 15),
    fails("half a pair, then another escape", '{"instances":["\\ud83d\\u0041"]}', SURROGATE, 15),
    parses("white space around", '\r\n\t {"instances" : [ 1 ] } \n'),
    parses("a byte order mark", b'\xef\xbb\xbf{"instances":[1]}'),
    parses(
        "bytes behind the closing brace",
        '{"instances": [[1,2],[3,4],[5,6]]}X',
        '{"predictions": [[1, 2], [3, 4], [5, 6]]}',
        f"{TEST} JsontensorTest.TensorFromNonNullTerminatedBuffer and {PARSE}",
    ),
    parses("a second document", '{"instances":[1]} {"instances":[2]}'),
    parses("a second closing brace", '{"instances":[1]}}'),
    parses("a comment behind", '{"instances":[1]} // one'),
    parses("a zero byte behind", b'{"instances":[1]}\0'),
    parses("bytes behind that are no UTF-8", b'{"instances":[1]}\xff\xfe'),
    parses("the first of two equal keys", '{"instances":[1],"instances":[2]}'),
    parses("keys that nobody asks for", '{"a": null, "instances": [1], "b": {"c": [true]}}'),
    parses("an escaped name", '{"\\u0069nstances": [1]}'),
    parses(
        "half a million lists in one another",
        '{"instances":[1], "nested":' + DEEP + "}",
        source=f"{TEST} JsontensorTest.DeeplyNestedWellFormed",
    ),
    predict(
        "int32",
        '{"signature_name":' + DEEP + "}",
        id="half a million lists as signature_name",
        error="key must be a string value",
        source=f"{TEST} JsontensorTest.DeeplyNestedMalformed",
    ),
    *(
        predict("int32", body, id=f"no object: {body}", error="Is not object", source=PARSE)
        for body in ("[1]", "1", "null", '"a"', "true", "NaN", "[] {}")
    ),
    predict(
        "int32",
        b'{"a": "\xff\xc3", "instances": [1]}',
        id="bytes that are no UTF-8 in a string that nobody asks for",
        json=ONE,
        source=f"{PARSE}, which does not validate the encoding",
    ),
]
