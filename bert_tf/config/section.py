"""The base class of all sections, and the types of their fields."""

import codecs
import io
from typing import Annotated, Any, get_args

import pydantic

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


Rate = Annotated[float, pydantic.Field(ge=0.0, lt=1.0)]


ColumnName = Annotated[
    str, pydantic.BeforeValidator(lambda name: str(name) if type(name) is int else name)
]
"""Of a table; a whole number is the name of a column without a header."""


_OF_NAMES_ALONE = ("idna", "punycode", "undefined")
"""Encodings of host names, and one that refuses everything."""


def _check_encoding(encoding: str) -> str:
    try:
        if codecs.lookup(encoding).name in _OF_NAMES_ALONE:
            raise ValueError("no encoding of texts")
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses base64 and its like
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"encoding must be a text encoding that Python knows. Received: {encoding!r} "
            f"({error}). Give one such as utf-8, cp949, euc-kr, utf-16 or cp1252."
        ) from error
    return encoding


TextEncoding = Annotated[str, pydantic.AfterValidator(_check_encoding)]
"""Any text encoding of Python's: `cp949` and `cp1252` are those of Korean and Western European
spreadsheets."""


class Section(pydantic.BaseModel):
    """Base of all sections: frozen; unknown keys, infinity and NaN are refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _is_no_flag(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        """`true`, and YAML's yes and on, are no number, as which pydantic would take them."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            kinds = {annotation, *get_args(annotation)}
            if bool not in kinds and kinds & {int, float}:
                raise ValueError(f"must be a number. Received: {value}. Write one.")
        return value
