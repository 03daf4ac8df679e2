"""The base class of all sections, and the types of their fields."""

from typing import Annotated

import pydantic

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


Rate = Annotated[float, pydantic.Field(ge=0.0, lt=1.0)]


ColumnName = Annotated[
    str, pydantic.BeforeValidator(lambda name: str(name) if type(name) is int else name)
]
"""Of a table; a whole number is the name of a column without a header."""


class Section(pydantic.BaseModel):
    """Base of all sections: frozen; unknown keys, infinity and NaN are refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
