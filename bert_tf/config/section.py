"""What all sections share."""

from typing import Annotated

import pydantic

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]


Rate = Annotated[float, pydantic.Field(ge=0.0, lt=1.0)]


class Section(pydantic.BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")
