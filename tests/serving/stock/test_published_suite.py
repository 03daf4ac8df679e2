"""TensorFlow Serving's own client suite, unmodified, against the local server.

The suite belongs to TensorFlow Serving and is not part of this repository. `TF_SERVING_SOURCE`
names a checkout of it at 2.20.0. Beside it a folder is laid out as the suite expects it, in which
`model_servers/tensorflow_model_server` is a script that starts the local server with its flags.
"""

import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = os.environ.get("TF_SERVING_SOURCE", "")
SUITE = Path("tensorflow_serving/model_servers/tensorflow_model_server_test.py")
# Their models need the TFLite runtime inside the server.
TFLITE_TESTS = {"testPredictOnTfLite", "testPredictWithSignatureDefOnTfLite"}
# Its saved_model.pb is a large file, which some mirrors of the repository hold empty or not at all.
TEXT_TEST, TEXT_MODEL = "test_tf_text", "tf_text_regression/01/saved_model.pb"
# Its models are made with Keras 2, which names an input as the model does.
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1", "CUDA_VISIBLE_DEVICES": ""}
# The suite imports its base class from the package that the installed API stubs occupy.
# Under Bazel the module of flags shows `os`, which one test reads there.
LAUNCHER = """
import os, runpy, sys
import tensorflow_serving
from tensorflow.python.platform import flags
flags.os = os
layout, suite, *arguments = sys.argv[1:]
tensorflow_serving.__path__.append(layout)
sys.argv = [suite, *arguments]
runpy.run_path(suite, run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not SOURCE, reason="TF_SERVING_SOURCE names no checkout of TensorFlow Serving at 2.20.0"
)
def test_published_suite_passes(tmp_path):
    source = Path(SOURCE)
    assert (source / SUITE).is_file(), f"TF_SERVING_SOURCE must hold {SUITE}. Received: {source}"
    layout = lay_out(source, tmp_path / "srcdir")
    outcomes = run_suite(source / SUITE, layout, tmp_path)
    assert len(outcomes) >= 30, outcomes
    excepted = set(TFLITE_TESTS)
    text_model = layout / "servables/tensorflow/testdata" / TEXT_MODEL
    if not text_model.is_file() or not text_model.stat().st_size:
        excepted.add(TEXT_TEST)
    failures = {name: text for name, text in outcomes.items() if text and name not in excepted}
    assert failures == {}


def lay_out(source: Path, srcdir: Path) -> Path:
    """Makes `tf_serving/tensorflow_serving` as the suite reads it; returns that folder."""
    layout = srcdir / "tf_serving" / "tensorflow_serving"
    (layout / "model_servers").mkdir(parents=True)
    (layout / "servables").symlink_to(source / "tensorflow_serving/servables")
    (layout / "model_servers/test_util").symlink_to(source / SUITE.parent / "test_util")
    server = layout / "model_servers/tensorflow_model_server"
    server.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} "
        f'exec {shlex.quote(sys.executable)} -m serving.local_server "$@"\n'
    )
    server.chmod(0o755)
    return layout


def run_suite(suite: Path, layout: Path, folder: Path) -> dict[str, str]:
    """Runs it; returns the failure of each test by its name, empty where it passed."""
    report = folder / "report.xml"
    with (folder / "suite.log").open("w") as log:
        subprocess.run(
            [
                *(sys.executable, "-c", LAUNCHER, str(layout), str(suite)),
                *(f"--xml_output_file={report}", f"--test_tmpdir={folder / 'suite'}"),
            ],
            env=os.environ | ENVIRONMENT | {"TEST_SRCDIR": str(layout.parents[1])},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=1700,
        )
    cases = xml.etree.ElementTree.parse(report).getroot().iter("testcase")
    return {case.attrib["name"]: "\n".join(failure_texts(case)) for case in cases}


def failure_texts(case: xml.etree.ElementTree.Element) -> list[str]:
    """What failed in a test; one text for each cause."""
    return [(part.text or part.attrib["message"])[-2000:] for part in case]
