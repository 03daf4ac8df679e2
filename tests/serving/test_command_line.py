"""The real command line, flags, and what importing the packages brings with it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serving.client import GrpcClient, RestClient
from serving.client import __main__ as client_command
from serving.server import flags, model_config
from tests.serving.server_process import ROOT, find_free_ports


def is_group_alive(process_group):
    try:
        os.killpg(process_group, 0)
    except ProcessLookupError:
        return False
    return True


def test_server_runs_from_the_command_line_and_ends_on_sigterm(publish, tmp_path):
    publish(tmp_path / "demo", 1, "one")
    port, rest_port = find_free_ports()
    log_path = tmp_path / "log"
    command = [
        sys.executable,
        "-m",
        "serving.local_server",
        "--model_name=demo",
        f"--model_base_path={tmp_path / 'demo'}",
        f"--port={port}",
        f"--rest_api_port={rest_port}",
    ]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log, start_new_session=True)
    try:
        with RestClient(f"http://127.0.0.1:{rest_port}", model_name="demo") as client:
            client.wait_until_available(60)
            assert client.predict_texts(["한글"])[0] == {
                "label": "one",
                "score": 0.2,
                "probabilities": [0.2, 0.8],
            }
        with GrpcClient(f"127.0.0.1:{port}", model_name="demo") as client:
            assert client.predict_texts(["한글"])[0]["label"] == "one"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert not is_group_alive(process.pid)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    log_lines = log_path.read_text().splitlines()
    assert "This local server is for development." in log_lines[0]
    assert log_lines[-1].endswith("Stopped.")
    for number in (port, rest_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", number)) != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo", "log"]


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_rest_client_brings_no_tensorflow():
    code = "import sys, serving.client; print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
    assert run_python(code) == "False False"


def test_server_brings_no_bert_tf_and_no_keras_of_its_own(saved_models):
    # TensorFlow imports a part of Keras by itself; what it has then must be all there is.
    code = f"""
import pathlib, sys
import numpy as np, tensorflow, tensorflow_text
ours = ("keras", "tf_keras", "keras_hub", "keras_nlp", "bert_tf")
before = {{name for name in sys.modules if name.startswith(ours)}}
import serving.client, serving.server.grpc_service, serving.local_server, serving.server.rest
from serving.server.servable import Servable
servable = Servable(pathlib.Path({str(saved_models["one"])!r}))
print(servable.predict({{"text": np.array([b"a"], dtype=object)}})["label"][0].decode())
print(sorted({{name for name in sys.modules if name.startswith(ours)}} - before))
print("bert_tf" in sys.modules)
"""
    assert run_python(code).splitlines() == ["one", "[]", "False"]


def test_flags_are_tensorflow_servings():
    values = flags.parse_flags(["--model_base_path=x", "--rest_api_port=1", "--model_name=m"])
    assert values == flags.Flags(
        host="127.0.0.1",
        port=8500,
        rest_api_port=1,
        rest_api_timeout_in_ms=30_000,
        file_system_poll_wait_seconds=1.0,
        models=(model_config.ModelSettings("m", Path("x").absolute()),),
    )
    assert flags.parse_flags(["--model_base_path=x"]).models[0].name == "default"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "exactly one of --model_base_path and --model_config_file"),
        (["--model_base_path=x", "--model_config_file=y"], "exactly one of"),
        (["--model_config_file=nope.config"], "nope.config: --model_config_file must name a file"),
        (["--model_base_path=x", "--port=0"], "are both 0 and there is no --grpc_socket_path"),
        (["--model_base_path=x", "--port=1", "--rest_api_port=1"], "cannot be the same as --port"),
        (["--model_base_path=x", "--port=70000"], "between 0 (off) and 65535. Received: 70000"),
        (["--model_base_path=x", "--rest_api_timeout_in_ms=0"], "must be above 0. Received: 0"),
        (["--model_base_path=x", "--prefer_tflite_model=true"], "has no TensorFlow Lite"),
        (["--model_base_path=x", "--enable_profiler=perhaps"], "must be true or false"),
        (["--model_base_path=x", "--rest_api=8501"], "unrecognized arguments: --rest_api=8501"),
        (
            [
                "--model_base_path=x",
                "--tensorflow_session_parallelism=1",
                "--tensorflow_intra_op_parallelism=1",
                "--tensorflow_inter_op_parallelism=1",
            ],
            "Either configure --tensorflow_session_parallelism or",
        ),
    ],
)
def test_wrong_flags_exit_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        flags.parse_flags(arguments)
    assert message in capsys.readouterr().err


def test_model_config_file(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("""
        model_config_list {
          config {
            name: "a" base_path: "/models/a" model_platform: "tensorflow"
            model_version_policy { specific { versions: 3 versions: 1 } }
            version_labels { key: "stable" value: 1 }
          }
          config {
            name: "b" base_path: "/b" model_platform: "tensorflow" model_version_policy { all {} }
          }
          config {
            name: "c" base_path: "file:///c" model_platform: "tensorflow"
            model_version_policy { latest { num_versions: 2 } }
          }
          config { name: "d" base_path: "/d" model_type: TENSORFLOW }
        }
    """)
    assert model_config.read_model_config_file(path) == (
        model_config.ModelSettings(
            "a", Path("/models/a"), specific_versions=(1, 3), version_labels={"stable": 1}
        ),
        model_config.ModelSettings("b", Path("/b"), serves_all_versions=True),
        model_config.ModelSettings("c", Path("/c"), num_latest_versions=2),
        model_config.ModelSettings("d", Path("/d")),
    )


LIST = "model_config_list { config { %s } }"


def test_a_config_file_may_hold_no_model_or_say_nothing(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list {}")
    assert model_config.read_model_config_file(path) == ()
    path.write_text("# nothing yet")
    assert model_config.read_model_config_file(path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        (LIST % 'name: "a"', "Expected model a to have an absolute path or URI"),
        (LIST % 'name: "a" base_path: "s3://b/a"', "This server reads local paths"),
        (LIST % 'name: "a" base_path: "/a"', "Illegal setting neither"),
        (
            LIST % 'name: "a" base_path: "/a" model_platform: "torch"',
            "Model a requests unsupported platform torch",
        ),
        (
            LIST % 'name: "a" base_path: "/a" model_type: TENSORFLOW model_platform: "tensorflow"',
            "Illegal setting both",
        ),
        (LIST % 'name: "a" base_path: "/a" model_type: OTHER', "model_type choice 2 not supported"),
        (
            "model_config_list {"
            ' config { name: "a" base_path: "/x" model_platform: "tensorflow" }'
            ' config { name: "a" base_path: "/y" model_platform: "tensorflow" } }',
            "Illegal to list model a multiple times in config list",
        ),
        ("custom_model_config {}", "must hold a model_config_list"),
    ],
)
def test_wrong_model_config_file(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        model_config.read_model_config_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("argument", ["--model_name=a\udcff", "--model_base_path=/m/\udce9"])
def test_arguments_that_are_no_utf8_exit_with_2(argument, capsys):
    with pytest.raises(SystemExit, match="2"):
        flags.parse_flags(["--model_base_path=x", argument])
    assert "every argument must be UTF-8. Received: --model_" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        client_command.main(["--model", "demo", "a text\udcff"])
    assert r"Received: a text\xff. Rename the file, or convert the" in capsys.readouterr().err


def test_a_config_file_in_another_encoding_is_told_with_the_line(tmp_path):
    path = tmp_path / "models.config"
    path.write_bytes("# 모델\nmodel_config_list {}\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"models\.config:1: a text form must be UTF-8. Received"):
        model_config.read_model_config_file(path)
