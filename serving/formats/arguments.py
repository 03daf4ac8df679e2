"""Refuses arguments of a command that are not UTF-8: neither JSON nor gRPC could carry them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def check_utf8(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Ends the process with the parser's usage and exit code 2 where one is not."""
    for argument in arguments:
        raw = argument.encode("utf-8", "surrogateescape")
        shown = raw.decode("utf-8", "backslashreplace")
        if shown.encode() != raw:
            parser.error(
                f"every argument must be UTF-8. Received: {shown}. Rename the file, or convert "
                "the text."
            )
