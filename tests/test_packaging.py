"""The wheel works in an environment that has never seen this repository."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.exporting.test_saved_model import export, make_folder
from tests.pipelines.site import Site

ROOT = Path(__file__).parents[1]
PACKAGES = ("bert_tf", "pipelines", "serving")


class Installed:
    """An environment with the wheel alone, used from a folder outside of the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        self.binaries = folder / "empty" / "bin"
        venv.create(folder / "empty", with_pip=True)
        wheel = build_wheel(folder)
        self.run("pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[serving]")

    def run(self, program: str, *arguments: str | Path, **environment: str) -> str:
        """Standard output of a program that ends well."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        ended = subprocess.run(
            [self.binaries / program, *arguments],
            env=kept | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


def build_wheel(folder: Path) -> Path:
    source = folder / "source"  # building writes beside the sources
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.mark.flows
@pytest.mark.timeout(1800)
def test_the_wheel_in_an_empty_environment_predicts_serves_and_runs_flows(tmp_path):
    version = export(make_folder(tmp_path / "model"), tmp_path / "served")
    installed = Installed(tmp_path)
    places = [
        installed.run("python", "-c", f"import {name}; print({name}.__file__)").strip()
        for name in PACKAGES
    ]
    assert all(Path(place).is_relative_to(installed.binaries.parent) for place in places), places
    package = Path(places[1]).parent
    for name in ("configs/refresh.yaml", "configs/demo.yaml", "schedule/dagster.yaml"):
        assert (package / name).is_file(), name

    assert "pretrain" in installed.run("bert-tf", "--help")
    assert "schedule" in installed.run("bert-tf", "pipeline", "--help")
    assert "--grpc" in installed.run("python", "-m", "serving.client", "--help")
    assert "--model_base_path" in installed.run("python", "-m", "serving.local_server", "--help")
    answer = installed.run("bert-tf", "predict", "--model", version, "한글 좋아요")
    assert json.loads(answer)["label"] in {"부정", "긍정", "모름"}

    site = Site(tmp_path)
    site.add_text("first.txt")
    site.configure()
    ran = installed.run(
        "bert-tf",
        *site.command("pretraining", "--until", "vocabulary"),
        MLFLOW_TRACKING_URI=site.uri,
    )
    assert json.loads(ran)["status"] == "done"
    assert (site.out / "pretraining" / "steps" / "vocabulary" / "vocab.txt").is_file()
