"""Texts in whatever form they are at hand in, a DataFrame with a column for each input out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint

if TYPE_CHECKING:
    import pandas as pd

    from bert_tf.models.description import ModelDescription
    from bert_tf.tasks.base import Task
    from bert_tf.tasks.examples import TextFields


def as_frame(texts: Any, *, fields: Mapping[str, str]) -> "pd.DataFrame":
    """A column for each of a signature's inputs, every cell a string, under the index of `texts`.

    Args:
        texts: a DataFrame; of a single input a Series or strings, of several tuples of strings.
        fields: the inputs, in the order of the tuples, to the columns of a DataFrame.

    Raises:
        ValueError: a column is missing, or a row is not what the inputs need.
    """
    import pandas as pd

    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of texts. Received: {texts!r}. Put it in [].")
    if isinstance(texts, pd.DataFrame):
        frame = _of_columns(texts, fields)
    else:
        index = texts.index if isinstance(texts, pd.Series) else None
        rows = [_as_row(row, number, names=list(fields)) for number, row in enumerate(texts)]
        frame = pd.DataFrame(rows, columns=list(fields), index=index, dtype=object)
    for name in frame.columns:
        for label, value in frame[name].items():
            if not isinstance(value, str):
                raise ValueError(
                    f"row {label}, {name}: a text must be a string. Received: {value!r}. Fill it "
                    "in or leave the row out."
                )
    return frame


def frame_of_task(
    texts: "pd.DataFrame", task: "Task", description: "ModelDescription", *, fields: "TextFields"
) -> "pd.DataFrame":
    """As `as_frame`, of a DataFrame whose columns the task reads itself, such as some choices.

    Raises:
        ValueError: as of `Task.read_inputs`.
    """
    import pandas as pd

    from bert_tf.data.tables.reading import read_table

    if texts.empty:
        return pd.DataFrame(columns=list(task.input_names(description)), index=texts.index)
    table = read_table(texts, key="texts")
    found = task.read_inputs(table, description, fields=fields)
    return pd.DataFrame(dict(found), index=texts.index, dtype=object)


def with_lines(texts: Any) -> list[Any]:
    """Tuples of a text and its choices, these as lines where they are a list."""
    from bert_tf.tasks.choice_lines import join_choices

    return [
        (row[0], join_choices(row[1]))
        if isinstance(row, tuple | list) and len(row) == 2 and isinstance(row[1], tuple | list)
        else row
        for row in texts
    ]


def _of_columns(texts: "pd.DataFrame", fields: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    from bert_tf.data.tables.reading import check_frame

    check_frame(texts)
    settings = ("text_field", "text_pair_field")
    for field, setting in zip(fields.values(), settings, strict=False):
        if field not in texts.columns:
            raise ValueError(
                f"the DataFrame must have the column {field!r}. Received: "
                f"{listed(texts.columns)}. Name the right one with {setting}."
                f"{alike_hint(field, texts.columns)}"
            )
    return pd.DataFrame({name: texts[field] for name, field in fields.items()}, index=texts.index)


def _as_row(row: Any, number: int, *, names: list[str]) -> tuple[Any, ...]:
    is_several = isinstance(row, tuple | list)
    cells = tuple(row) if is_several else (row,)
    if len(cells) != len(names):
        needs = f"a tuple of {', '.join(names)}" if len(names) > 1 else "a string"
        raise ValueError(
            f"row {number}: the model takes {' and '.join(names)}, so a row must be {needs}. "
            f"Received: {row!r}. Give {len(names)} of them a row."
        )
    return cells
