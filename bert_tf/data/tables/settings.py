"""Names the setting of `TableConfig` in an error, for a table that an option or a setting named."""


def table_setting(name: str, *, key: str) -> str:
    """`--encoding` beside the command's option `--file`, else `finetuning.table.encoding`."""
    if key != "--file":
        return f"finetuning.table.{name}"
    return "--header/--no-header" if name == "has_header" else f"--{name}"
