"""The wheel works in an environment that has never seen this repository."""

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.exporting.test_saved_model import export, make_folder

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_installs_into_an_empty_environment_and_predicts(tmp_path):
    version = export(make_folder(tmp_path / "model"), tmp_path / "served")
    source = tmp_path / "source"  # building writes beside the sources
    for package in ("bert_tf", "pipelines", "serving"):
        shutil.copytree(ROOT / package, source / package)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    binaries = tmp_path / "empty" / "bin"
    subprocess.run(
        [binaries / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel],
        check=True,
        cwd=tmp_path,
    )
    helped = subprocess.run(
        [binaries / "bert-tf", "--help"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert "pretrain" in helped.stdout, "bert-tf --help must list its commands"
    assert "pipeline" in helped.stdout, "the wheel must carry the command of `pipelines`"
    answered = subprocess.run(
        [binaries / "bert-tf", "predict", "--model", version, "한글 좋아요"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert json.loads(answered.stdout)["label"] in {"부정", "긍정", "모름"}
