"""`make` says what the installation does, and fails when pip does."""

import subprocess
import sys
import zipfile
from pathlib import Path

from install import Progress

ROOT = Path(__file__).parents[1]


def install(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "install.py", "--no-index", *arguments],
        capture_output=True,
        text=True,
    )


def make_wheel(folder: Path, name: str, *, requires: str = "") -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{about}/METADATA", metadata)
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return path


def test_it_says_what_is_installed(tmp_path):
    make_wheel(tmp_path, "below")
    make_wheel(tmp_path, "above", requires="below")
    ended = install("--find-links", tmp_path, "--target", tmp_path / "site", "above")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "site" / "below.py").is_file()
    assert "Installing 2 packages" in ended.stdout
    assert "Successfully installed above-1.0 below-1.0" in ended.stdout


def test_a_failure_of_pip_is_shown_with_its_exit_code(tmp_path):
    make_wheel(tmp_path, "above", requires="below")
    ended = install("--find-links", tmp_path, "--target", tmp_path / "site", "above")
    assert ended.returncode == 1
    assert "No matching distribution found for below" in ended.stderr
    assert "pip ended with exit code 1" in ended.stdout
    assert "Installed" not in ended.stdout


def test_it_counts_what_is_found_fetched_and_installed(capsys):
    progress = Progress()
    for line in (
        "Collecting above==1.0 (from -c constraints.txt)",
        "  Downloading above-1.0-py3-none-any.whl.metadata (12 kB)",
        "  Downloading above-1.0-py3-none-any.whl (620.6 MB)",
        "Collecting below",
        "  Using cached below-1.0-py3-none-any.whl (1 kB)",
        "Requirement already satisfied: pytest in ./site-packages",
    ):
        progress.note(line)
    assert capsys.readouterr().out.splitlines() == [
        "  above-1.0-py3-none-any.whl (620.6 MB)",
        "  below-1.0-py3-none-any.whl (1 kB)",
    ]
    assert progress.how_far() == "2 packages found, 2 of them fetched"
    progress.note("Installing collected packages: pytest, Above, below")
    assert progress.how_far() == "1 of 3 packages installed"
