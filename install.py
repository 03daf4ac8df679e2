"""Installs packages with pip and says what it does while it lasts, with a terminal or without.

    python install.py --editable '.[serving]'     arguments as of `pip install`

A line for each package that is fetched or built, and every 15 seconds one that says how far it is,
since pip is silent for minutes. Errors are pip's own, and so is the exit code.
"""

import re
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

LINE_EVERY_SECONDS = 15.0
_FOUND = re.compile(r"\s*(?:Collecting|Obtaining) ")
_FETCHED = re.compile(r"\s*(?:Downloading|Using cached) (\S+)(?<!\.metadata) \(([^)]+)\)")
_INSTALLING = "Installing collected packages: "
_SHOWN = re.compile(r"\s*(?:Obtaining|Building|Attempting|Found existing) |Successfully ")


def main(arguments: list[str]) -> int:
    """Run `pip install` with `arguments`; its exit code."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    process = subprocess.Popen(
        [*command, "--progress-bar", "off", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    progress = Progress()
    threading.Thread(target=progress.tell_now_and_then, daemon=True).start()
    for line in process.stdout:
        progress.note(line.rstrip())
    code = process.wait()
    how = "Installed" if code == 0 else f"pip ended with exit code {code}"
    print(f"{how} after {progress.seconds:.0f} s.", flush=True)
    return code


class Progress:
    """What pip has said so far, and what of it is shown."""

    def __init__(self) -> None:
        self._began_at = time.monotonic()
        self._num_found = self._num_fetched = 0
        self._to_install: set[str] = set()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began_at

    def note(self, line: str) -> None:
        """Count and show a line of pip's."""
        self._num_found += bool(_FOUND.match(line))
        if fetched := _FETCHED.match(line):
            self._num_fetched += 1
            print(f"  {fetched[1]} ({fetched[2]})", flush=True)
        elif line.startswith(_INSTALLING):
            names = line.removeprefix(_INSTALLING).split(", ")
            self._to_install = {_plain(name) for name in names}
            print(f"  Installing {len(names)} packages", flush=True)
        elif _SHOWN.match(line):
            print(f"  {line.strip()[:200]}", flush=True)

    def tell_now_and_then(self) -> None:
        """Runs beside pip."""
        while True:
            time.sleep(LINE_EVERY_SECONDS)
            print(f"  ... {self.seconds:.0f} s: {self.how_far()}", flush=True)

    def how_far(self) -> str:
        """In numbers of packages."""
        if not self._to_install:
            return f"{self._num_found} packages found, {self._num_fetched} of them fetched"
        # By their folders: a package that is just being written cannot tell its name yet.
        folders = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
        there = {_plain(folder.name.partition("-")[0]) for folder in folders}
        return f"{len(self._to_install & there)} of {len(self._to_install)} packages installed"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
