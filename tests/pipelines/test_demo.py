"""The demo from end to end, short: its report is written and a second run reuses every step."""

import json

import pytest
from click.testing import CliRunner

from bert_tf.config import load_config
from pipelines.demo.__main__ import CONFIG_PATH, main, run_demo

SHORT = [
    "vocabulary.size=1500",
    "pretraining.num_train_steps=10",
    "pretraining.max_eval_steps=2",
    "pretraining.training.evaluate_every_steps=null",
    "finetuning.num_epochs=0.1",
    "tracking.system_metrics_interval_seconds=1000",
]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--config", ".", ".: a configuration file must exist. Received: a folder. Give --config"),
        ("--set", "model.hiden_size=3", "Did you mean model.hidden_size?"),
        ("--set", "corpus.paths=[\udce9]", r"every argument must be UTF-8. Received: corpus.paths"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(tmp_path, option, value, message):
    output_dir = tmp_path / "out"
    result = CliRunner().invoke(main, [option, value, "--output-dir", str(output_dir)])
    assert result.exit_code == 2
    assert message in result.output
    assert not output_dir.exists()


@pytest.mark.flows
@pytest.mark.timeout(900)
def test_the_demo_runs_serves_reports_and_reuses(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    config = load_config(CONFIG_PATH, overrides=SHORT)
    run_demo(config, tmp_path)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    for picture in ("pretraining.png", "finetuning.png", "confusion_matrix.png"):
        assert picture in report
        assert (tmp_path / picture).read_bytes()[:4] == b"\x89PNG"
    path = tmp_path / "demo" / "steps" / "answers" / "answers.json"
    answers = json.loads(path.read_text(encoding="utf-8"))
    assert answers["grpc_agrees"]
    assert answers["num_texts"] > 1000
    run_demo(config, tmp_path)
    # `publish` looks for itself whether there is anything to do.
    assert "13 of 14 steps reused" in capsys.readouterr().out
