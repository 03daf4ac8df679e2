"""What a setting of `TableConfig` is called where a table was named by another setting."""


def table_setting(name: str, *, key: str) -> str:
    """`--encoding` beside the command's option `--file`, else `finetuning.table.encoding`."""
    if key != "--file":
        return f"finetuning.table.{name}"
    return "--header/--no-header" if name == "has_header" else f"--{name}"
