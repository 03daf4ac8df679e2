"""What a request may set for each of its texts, such as a seed: tensors (batch) beside the texts.

A server joins the rows of several clients, so a setting is a number a row. In Python it may be one
number for all texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint


@dataclass(frozen=True)
class RowSetting:
    """One of them."""

    value: np.generic
    """What the model has where a request sets nothing; its type is the input's."""
    right: tuple[Any, ...] = ()
    """Other values that are answered."""
    wrong: tuple[Any, ...] = ()
    """Values that are refused: an export is checked with all of these."""

    def column(self, num_rows: int, *, with_wrong: bool = False) -> np.ndarray:
        """Some of its values in turn, (rows): that of the model first."""
        values = [self.value, *self.right, *(self.wrong if with_wrong else ())]
        return np.resize(np.array(values, self.value.dtype), num_rows)


def tried_columns(
    names: Sequence[str],
    settings: Mapping[str, RowSetting],
    *,
    num_rows: int,
    with_wrong: bool = False,
) -> dict[str, np.ndarray]:
    """Of those `names` that are settings columns whose rows have different values."""
    return {
        name: settings[name].column(num_rows, with_wrong=with_wrong)
        for name in names
        if name in settings
    }


def setting_columns(
    given: Mapping[str, Any], *, known: Mapping[str, RowSetting], num_rows: int
) -> dict[str, np.ndarray]:
    """All settings as (rows), of numbers, or sequences with one a row; the model's in the gaps.

    Raises:
        ValueError: there is no such setting, or a value is no number of its type, or not one a row.
    """
    if unknown := [name for name in given if name not in known]:
        raise ValueError(
            f"A setting must be one of {listed(known) or 'none, for this signature'}. Received: "
            f"{unknown[0]!r}. Leave it out.{alike_hint(unknown[0], known)}"
        )
    return {
        name: _column(name, given.get(name, it.value), it.value.dtype, num_rows)
        for name, it in known.items()
    }


def _column(name: str, value: Any, dtype: np.dtype, num_rows: int) -> np.ndarray:
    kinds = "iu" if dtype.kind == "i" else "iuf"
    found = np.asarray(value)
    try:
        if found.dtype.kind not in kinds:
            raise TypeError
        column = np.array(found.tolist(), dtype)  # a number beyond the type is an error here
        return np.broadcast_to(column, [num_rows]).copy()
    except (TypeError, ValueError, OverflowError):
        what = "a whole number" if dtype.kind == "i" else "a number"
        raise ValueError(
            f"{name} must be {what} ({dtype.name}), or one for each of {num_rows} texts. Received: "
            f"{value!r:.200}."
        ) from None
