"""Rows that the local server answers otherwise than TensorFlow Serving, by their id, each with why.

docs/serving.md lists the reasons under "Where the local server differs".
"""

from tests.serving.stock.case import Answer, Deviation

NEWER_PARSER = (
    "The parser is a newer RapidJSON than TensorFlow Serving's 1.1.0; it refuses half a surrogate "
    "pair and what is just beyond a double, and names a control character otherwise."
)
DEPTH = "A document of more than a thousand levels is refused: Python's stack must hold it."
RANK = "A tensor has at most 32 dimensions: TensorFlow's Python ends on strings of more."
PROTOBUF = "Python's protobuf holds text alone: other bytes in a label become U+FFFD."


def _refused(error: str, reason: str) -> Deviation:
    return Deviation(Answer(status=400, error=error), reason)


_SURROGATE = _refused("The surrogate pair in string is invalid.", NEWER_PARSER)
_TOO_BIG = _refused("Number too big to be stored in double.", NEWER_PARSER)
_CONTROL = _refused("JSON Parse error: Invalid encoding in string. at offset: ", NEWER_PARSER)
_TOO_DEEP = _refused("The document is nested too deeply.", DEPTH)
_RANK = _refused("A tensor can have at most 32 dimensions.", RANK)

REST = {
    "parse error: a line end in a string": _CONTROL,
    "parse error: a tab in a string": _CONTROL,
    "parse error: a control character in a name": _CONTROL,
    "parses: half a million lists in one another": _TOO_DEEP,
    "half a million lists as signature_name": _TOO_DEEP,
    "float takes 1.8e308, -1.8e308": _TOO_BIG,
    "double takes 1.8e308, -1.8e308": _TOO_BIG,
    "text arrives: the second half of a surrogate pair alone": _SURROGATE,
    "an answer that is no UTF-8: b'\\\\ude00'": _SURROGATE,
    "40 lists in one another": _RANK,
    "64 lists in one another": _RANK,
    "255 lists in one another": _RANK,
    "a label that is no UTF-8": Deviation(
        Answer(holds='{"results":[[["\ufffd",1.0]]]}'.encode()), PROTOBUF
    ),
}
GRPC = {"float: 40 dimensions": ("INVALID_ARGUMENT", "at most 32 dimensions", RANK)}
