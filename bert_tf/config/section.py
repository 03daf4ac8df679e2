"""The base class of all sections, and the types of their fields."""

import codecs
import io
from typing import Annotated

import pydantic

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


Rate = Annotated[float, pydantic.Field(ge=0.0, lt=1.0)]


ColumnName = Annotated[
    str, pydantic.BeforeValidator(lambda name: str(name) if type(name) is int else name)
]
"""Of a table; a whole number is the name of a column without a header."""


def _check_encoding(encoding: str) -> str:
    try:
        codecs.lookup(encoding)
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
