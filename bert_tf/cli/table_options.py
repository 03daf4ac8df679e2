"""The options of commands that read a table, and the section that they are."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bert_tf.config import TableConfig

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--encoding", help="Of a .csv, .tsv or .json table, such as cp949. Default: utf-8."
    ),
    click.option(
        "--quoting",
        type=click.Choice(["auto", "csv", "none"]),
        help="Whether quotes protect cells of a .csv or .tsv. Default: auto.",
    ),
    click.option(
        "--header/--no-header",
        "has_header",
        default=None,
        help="Whether a .csv or .tsv begins with the columns' names; else they are 1, 2, … "
        "Default: it does, and names that look like a record are refused; --header takes them.",
    ),
)


def table_options(command: F) -> F:
    """A command with `--encoding`, `--quoting` and `--header`, given as `table_settings`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in settings.items() if value is not None}


def table_config(settings: dict[str, Any], **more: Any) -> "TableConfig":
    """The section; `more`: what the command itself sets. Raises click.UsageError of a fault."""
    import pydantic

    from bert_tf.config import TableConfig

    settings = given(settings) | more
    if settings.get("has_header"):
        settings = settings | {"check_header": False}  # who says so has looked
    try:
        return TableConfig(**settings)
    except pydantic.ValidationError as error:
        raise click.UsageError("; ".join(fault["msg"] for fault in error.errors())) from error
