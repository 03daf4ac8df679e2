"""The process of the next step stands by with what it imports, and nothing of it is left."""

import dataclasses
from pathlib import Path

import psutil
import pytest

from pipelines.engine.attempts import StepError
from pipelines.engine.runner import run_flow
from tests.pipelines.small_flow import FLOW
from tests.pipelines.test_runner import configure, statuses

STANDING_BY = dataclasses.replace(FLOW, imports=("wave", "no_such_module"))
TELLS = "import sys; (folder / '{name}.imported').write_text(str('wave' in sys.modules))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    (path / "input.txt").write_text("good day")
    for name in ("copy", "shout", "tell"):
        (path / f"{name}.do").write_text(TELLS.format(name=name) + "\n")
    return path


def run(folder: Path):
    return run_flow(
        STANDING_BY, configure(folder), folder.parent / "out", tracking_uri="sqlite:///none.db"
    )


def imported(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in folder.glob("*.imported")}


def step_processes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "pipelines.engine.step_process" in child.cmdline()]


def test_only_the_first_step_imports_when_it_begins(folder):
    assert statuses(run(folder)) == ["done"] * 3
    assert imported(folder) == {"copy": "False", "shout": "True", "tell": "True"}
    assert step_processes() == []


def test_a_process_that_was_killed_while_it_stood_by_is_replaced(folder):
    with (folder / "copy.do").open("a") as script:
        script.write(
            "import os, psutil, time\n"
            "spare = []\n"
            "while not spare:\n"
            "    time.sleep(0.1)\n"
            "    children = psutil.Process(os.getppid()).children()\n"
            "    spare = [child for child in children if child.pid != os.getpid()]\n"
            "spare[0].kill()\n"
        )
    assert statuses(run(folder)) == ["done"] * 3
    assert imported(folder) == {"copy": "False", "shout": "False", "tell": "True"}


def test_none_stands_by_when_a_flow_has_failed(folder):
    (folder / "shout.do").write_text("raise ValueError('too loud')")
    with pytest.raises(StepError, match="too loud"):
        run(folder)
    assert step_processes() == []
