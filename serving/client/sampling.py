"""Settings of samples as a client gives them in, the rows of a request to `sample` out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client.model_client import ModelClient

Numbers = float | Sequence[float] | None
"""One for all texts, one a text, or as the model was exported."""
_TYPES: Mapping[str, tuple[Callable[[Any], float], str]] = {
    "seed": (operator.index, "a whole number"),
    "temperature": (float, "a number"),
    "top_k": (operator.index, "a whole number"),
    "top_p": (float, "a number"),
}


def sampled_texts(
    client: ModelClient, texts: Sequence[str], given: Mapping[str, Numbers]
) -> list[Any]:
    """What `sample` answers each text with settings of its own; those that are None as exported.

    Raises:
        ValueError: texts are no list, or a setting is not a number, or one for each of them.
    """
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of texts. Received: {texts!r}. Put it in [].")
    columns = {
        name: _column(name, value, num_rows=len(texts))
        for name, value in given.items()
        if value is not None
    }
    if len(columns) < len(given):
        (exported,) = client.predict(instances=[{"text": ""}], signature_name="sample_settings")
        columns = {name: [value] * len(texts) for name, value in exported.items()} | columns
    rows = zip(*columns.values(), strict=True)
    instances = [
        {"text": text, **dict(zip(columns, row, strict=True))}
        for text, row in zip(texts, rows, strict=True)
    ]
    return list(client.predict(instances=instances, signature_name="sample"))


def _column(name: str, value: Any, *, num_rows: int) -> list[float]:
    as_number, what = _TYPES[name]
    is_one = isinstance(value, str) or not hasattr(value, "__len__")
    values = [value] * num_rows if is_one else list(value)
    try:
        if len(values) != num_rows or isinstance(value, str):
            raise TypeError
        return [as_number(it) for it in values]
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be {what}, or one for each of {num_rows} texts. Received: {value!r:.200}."
        ) from None
