"""Tables of metrics as Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each row under the keys of the first one; nothing of no rows.

    Real numbers have four decimals, NaN is a dash; what would end a cell or a line is escaped.
    """
    if not rows:
        return ""
    columns = list(rows[0])
    is_number = [isinstance(rows[0][column], int | float) for column in columns]
    lines = [
        [_cell(column.replace("_", " ")) for column in columns],
        ["---:" if right else "---" for right in is_number],
        *([_cell(row[column]) for column in columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return " ".join(str(value).split()).replace("|", "\\|")
