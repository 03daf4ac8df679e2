"""Processes of ours find our modules wherever they are started."""

import os
import subprocess
from pathlib import Path

import pytest

import pipelines
from pipelines.engine.processes import python_command, python_path

MODULE = "pipelines.schedule.environment"


@pytest.mark.parametrize("is_here_first", [True, False])
def test_a_package_of_the_same_name_in_the_working_directory_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_here_first: bool
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    if is_here_first:  # as in a process that was started with `python -m`
        monkeypatch.syspath_prepend(tmp_path)
    subprocess.run(python_command(MODULE), env={**os.environ, **python_path()}, check=True)


def test_a_module_of_the_working_directory_is_found_where_this_process_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_task.py").write_text("import pipelines; print(pipelines.__file__)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    found = subprocess.run(
        python_command("own_task"),
        env={**os.environ, **python_path()},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == pipelines.__file__
