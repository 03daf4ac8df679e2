"""What a registered model and an alias may be called: checked before anything is made of it.

A name becomes a folder, a part of addresses and the name of MLflow's logged model, and is
asked for as `models:/NAME@ALIAS`. Registries hold other names, too, which other tools have made.
"""

import re

FORBIDDEN_CHARACTERS = "/\\:.%\"'`@?#*"
MAX_NAME_BYTES = 200
"""Of a folder's name 255 are possible; the lock of a promotion has a longer name."""
MAX_ALIAS_CHARACTERS = 255


def name_fault(name: str) -> str | None:
    """Why a registered model may not be called so, or None."""
    found = "".join(sorted({c for c in name if c in FORBIDDEN_CHARACTERS}))
    if not name.strip():
        return "an empty name"
    if found:
        return f"{name!r} with {' '.join(found)}"
    if not name.isprintable() or name != name.strip():
        return f"{name!r} with an unprintable character or a space at an end"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"{name[:20]!r}… of {len(name.encode())} bytes"
    return None


def check_name(name: str) -> str:
    """`name`, which a registered model may have.

    Raises:
        ValueError: it may not.
    """
    if fault := name_fault(name):
        raise ValueError(
            f"a registered model's name must have at most {MAX_NAME_BYTES} bytes and none of "
            f"{' '.join(FORBIDDEN_CHARACTERS)}. Received: {fault}. Choose another name."
        )
    return name


def check_alias(alias: str) -> str:
    """`alias`, which a version may get.

    Raises:
        ValueError: it may not.
    """
    is_word = re.fullmatch(r"[\w-]+", alias) and len(alias) <= MAX_ALIAS_CHARACTERS
    if not is_word or re.fullmatch(r"v?\d+|latest", alias, re.IGNORECASE):
        raise ValueError(
            "an alias must be of letters, digits, _ and -, at most "
            f"{MAX_ALIAS_CHARACTERS} of them, and neither a number, nor v and a number, nor "
            f"`latest`. Received: {alias[:80]!r}. Choose another alias."
        )
    return alias
