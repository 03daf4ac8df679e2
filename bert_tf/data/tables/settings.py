"""Names the setting of `TableConfig` in an error, for a table that an option or a setting named."""

HEADER_OPTIONS = {"has_header": "--header/--no-header", "check_header": "--header"}


def table_setting(name: str, *, key: str) -> str:
    """`--encoding` beside the command's option `--file`, else `finetuning.table.encoding`."""
    if key != "--file":
        return f"finetuning.table.{name}"
    return HEADER_OPTIONS.get(name, f"--{name}")


def no_header(key: str) -> str:
    """How to say that a table has no header."""
    return "--no-header" if key == "--file" else f"{table_setting('has_header', key=key)}=false"


def with_header(key: str) -> str:
    """How to say that a table has one."""
    return "--header" if key == "--file" else f"{table_setting('has_header', key=key)}=true"


def header_advice(key: str) -> str:
    """What to set where names are a record, and where they are names."""
    check = table_setting("check_header", key=key)
    names = check if check.startswith("--") else f"{check}=false"
    return (
        f"If that line is a record, set {no_header(key)}: columns are 1, 2, … from the left; if it "
        f"holds names, set {names}."
    )
