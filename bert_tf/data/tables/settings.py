"""Names the setting of `TableConfig` in an error, for a table that an option or a setting named."""

HEADER_OPTIONS = {"has_header": "--header/--no-header", "check_header": "--header"}
WITHOUT_OPTION = ("layout", "token_column", "tag_column", "joined")


def table_setting(name: str, *, key: str) -> str:
    """`--encoding` beside the command's option `--file`, else `finetuning.table.encoding`."""
    if key != "--file" or name in WITHOUT_OPTION:
        section = "parallel" if key.startswith("parallel.") else "finetuning"
        return f"{section}.table.{name}"
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


def token_columns_question(key: str) -> str:
    """How to say that a file has a token and its tag a line, for one that may have them."""
    advice = f"set {table_setting('layout', key=key)}=token_columns"
    if key.startswith("--"):
        advice = "give it the ending .conll"
    return f"If each of its lines has a token and its tag, {advice}."
