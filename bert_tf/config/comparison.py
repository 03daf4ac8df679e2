"""Two trees of settings in, the keys in which they differ out."""

from typing import Any


def differences(before: Any, after: Any, *, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted key -> what it was and is."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in sorted(before.keys() | after.keys()):
            dotted = f"{key}.{name}" if key else name
            found |= differences(before.get(name), after.get(name), key=dotted)
        return found
    return {} if before == after else {key: (before, after)}
