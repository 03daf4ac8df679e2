"""The command line: each command alone, the whole way from text to answers, kills on the way."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient

from bert_tf.cli.main import main
from bert_tf.system.version import __version__

KOREAN = [
    "이 영화 정말 좋아요",
    "배우들 연기가 훌륭합니다",
    "다시 보고 싶은 영화",
    "감동이 있는 이야기",
]
ENGLISH = ["The parser reads a file.", "Each line holds a name.", "Errors are shown at once."]
SETTINGS = {
    "vocabulary": {"size": 300, "min_frequency": 1},
    "corpus": {"held_out_share": 0.25},
    "examples": {"max_seq_length": 32},
    "records": {"num_shards": 2, "num_workers": 1},
    "masking": {"max_predictions_per_seq": 4},
    "model": {
        "num_hidden_layers": 1,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
    },
    "pretraining": {
        "num_train_steps": 6,
        "training": {
            "batch_size": 8,
            "log_every_steps": 2,
            "checkpoint_every_steps": 2,
            "optimizer": {"learning_rate": 0.01},
        },
    },
    "finetuning": {
        "max_seq_length": 16,
        "num_epochs": 12,
        "training": {"batch_size": 16, "optimizer": {"learning_rate": 0.01}},
    },
}


def run(*arguments: str, exit_code: int = 0) -> str:
    """The command's standard output; its exit code must be `exit_code`."""
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result.output if exit_code else result.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a configuration, a corpus and labelled texts, after all training commands."""
    path = tmp_path_factory.mktemp("work")
    rng = random.Random(0)
    documents = [rng.choices(KOREAN if i % 2 else ENGLISH, k=6) for i in range(60)]
    (path / "corpus.txt").write_text(
        "\n\n".join("\n".join(document) for document in documents), encoding="utf-8"
    )
    for name, count in (("train", 96), ("eval", 20)):
        rows = [(rng.choice(KOREAN), "긍정") for _ in range(count // 2)]
        rows += [(rng.choice(ENGLISH), "other") for _ in range(count // 2)]
        lines = ["text\tlabel", *("\t".join(row) for row in rows)]
        (path / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")
    settings = SETTINGS | {
        "corpus": {**SETTINGS["corpus"], "paths": [str(path / "corpus.txt")]},
        "tokenizer": {"vocabulary": str(path / "vocab")},
        "pretraining": {**SETTINGS["pretraining"], "records": str(path / "records")},
        "finetuning": {
            **SETTINGS["finetuning"],
            "pretrained": str(path / "encoder"),
            "train_path": str(path / "train.tsv"),
            "eval_path": str(path / "eval.tsv"),
        },
        "export": {"model": str(path / "classifier")},
        "tracking": {"enabled": False},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
    for command, folder in (
        ("vocab", "vocab"),
        ("prepare", "records"),
        ("pretrain", "encoder"),
        ("finetune", "classifier"),
        ("export", "served/reviews"),
    ):
        run(command, "--config", str(path / "config.yaml"), "--output-dir", str(path / folder))
    return path


def test_every_result_has_the_resolved_configuration_beside_it(work):
    for folder in ("vocab", "records", "encoder", "classifier", "served/reviews/1/assets.extra"):
        resolved = yaml.safe_load((work / folder / "config.yaml").read_text("utf-8"))
        assert resolved["model"]["hidden_size"] == 16
        assert resolved["masking"]["masked_lm_prob"] == 0.15, "a default, written out"


def test_pretraining_leaves_a_model_folder_with_metrics(work):
    metrics = json.loads((work / "encoder" / "metrics.json").read_text())
    assert {"masked_lm_loss", "masked_lm_accuracy", "masked_lm_perplexity"} <= metrics.keys()
    assert {"next_sentence_accuracy", "unigram_entropy"} <= metrics.keys()
    names = {path.name for path in (work / "encoder").iterdir()}
    assert {"model.json", "model.safetensors", "vocab.txt", "tokenizer.json"} <= names
    assert list((work / "encoder" / "tensorboard").glob("events.*"))


def test_the_classifier_learns_and_answers_in_hangul(work):
    metrics = json.loads((work / "classifier" / "metrics.json").read_text())
    assert metrics["classification_accuracy"] == 1.0
    assert metrics["f1"] == metrics["macro_f1"] == 1.0
    assert (work / "classifier" / "confusion_matrix.png").read_bytes()[:4] == b"\x89PNG"
    output = run("predict", "--model", str(work / "served" / "reviews"), KOREAN[0], ENGLISH[0])
    answers = [json.loads(line) for line in output.splitlines()]
    assert [answer["label"] for answer in answers] == ["긍정", "other"]
    assert "긍정" in output, "written as it is, not escaped"


def test_predict_reads_a_file_or_standard_input(work, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text(f"{KOREAN[1]}\n{ENGLISH[1]}\n", encoding="utf-8")
    from_file = run("predict", "--model", str(work / "served/reviews"), "--file", str(path))
    result = CliRunner().invoke(
        main, ["predict", "--model", str(work / "served/reviews")], input=path.read_text("utf-8")
    )
    assert result.stdout == from_file
    assert len(from_file.splitlines()) == 2


def test_a_tab_separates_a_pair_and_a_single_text_model_refuses_it(work):
    output = run("predict", "--model", str(work / "served/reviews"), "one\ttwo", exit_code=1)
    assert "serving_default takes ['text']. Received: ['text', 'text_pair']" in output


def test_evaluate_gives_the_numbers_of_training(work, tmp_path):
    trained = json.loads((work / "classifier" / "metrics.json").read_text())
    output = run(
        "evaluate",
        *("--config", str(work / "config.yaml"), "--output-dir", str(tmp_path / "evaluation")),
        *("--set", f"evaluation.model={work / 'classifier'}"),
        *("--set", f"evaluation.data={work / 'eval.tsv'}"),
    )
    metrics = json.loads(output)
    assert metrics["classification_accuracy"] == trained["classification_accuracy"]
    assert metrics["loss"] == pytest.approx(trained["loss"], rel=0.05, abs=0.01)


def test_evaluate_measures_a_pretrained_model_on_held_out_records(work, tmp_path):
    output = run(
        "evaluate",
        *("--config", str(work / "config.yaml"), "--output-dir", str(tmp_path)),
        *("--set", f"evaluation.model={work / 'encoder'}"),
        *("--set", f"evaluation.data={work / 'records'}"),
    )
    assert json.loads(output)["masked_lm_loss"] > 0


def test_from_scratch_keeps_architecture_and_tokenizer_but_no_weights(work, tmp_path):
    run(
        "finetune",
        *("--config", str(work / "config.yaml"), "--output-dir", str(tmp_path / "scratch")),
        *("--set", "finetuning.from_scratch=true", "--set", "finetuning.num_epochs=0.1"),
    )
    import safetensors.numpy

    name = "encoder/embeddings/position_embeddings/embeddings"
    pretrained = safetensors.numpy.load_file(work / "encoder" / "model.safetensors")[name]
    scratch = safetensors.numpy.load_file(tmp_path / "scratch" / "model.safetensors")[name]
    assert pretrained.shape == scratch.shape
    assert np.abs(pretrained - scratch).max() > 0.02


def test_the_same_command_again_reuses_what_is_finished(work):
    before = (work / "encoder" / "model.safetensors").read_bytes()
    noted = work / "encoder" / "checkpoints" / "settings.json"
    settings = json.loads(noted.read_text())
    del settings["eval_data_sha256"]  # as older runs left it
    noted.write_text(json.dumps(settings))
    run(
        *("pretrain", "--config", str(work / "config.yaml")),
        *("--output-dir", str(work / "encoder")),
    )
    assert (work / "encoder" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--set", "model.hiden_size=3"], 2, "Did you mean model.hidden_size?"),
        (["--set", "model"], 2, "--set must be KEY=VALUE"),
        (["--config", "/nowhere.yaml"], 2, "a configuration file must exist"),
        (["--profile", "3:1"], 2, "must be START:END with 1 <= START <= END"),
        ([], 1, "pretraining.records must be set"),
        (["--set", "pretraining.records=/nowhere"], 1, "/nowhere"),
    ],
)
def test_wrong_use_and_failures_have_their_exit_codes(tmp_path, arguments, exit_code, message):
    arguments = [*arguments, "--set", "tracking.enabled=false"] if exit_code == 1 else arguments
    output = run("pretrain", *arguments, "--output-dir", str(tmp_path), exit_code=exit_code)
    assert message in output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "finetuning.training.optimizer.learning_rate=0.5",
            "optimizer.learning_rate: was 0.01, is 0.5",
        ),
        ("finetuning.eval_path={work}/train.tsv", "eval_data_sha256: was "),
    ],
)
def test_a_refused_rerun_leaves_the_result_as_it_was(work, override, message):
    before = {p: p.read_bytes() for p in (work / "classifier").rglob("*") if p.is_file()}
    output = run(
        *("finetune", "--config", str(work / "config.yaml")),
        *("--output-dir", str(work / "classifier")),
        *("--set", override.format(work=work)),
        exit_code=1,
    )
    assert message in output
    assert {p: p.read_bytes() for p in before} == before


def test_finetuning_notices_edited_data_of_the_same_size(work, tmp_path):
    lines = (work / "train.tsv").read_text("utf-8").splitlines()
    path = tmp_path / "edited.tsv"
    path.write_text("\n".join([*lines[:-1], "Another text.\tother"]), encoding="utf-8")
    output = run(
        *("finetune", "--config", str(work / "config.yaml")),
        *("--output-dir", str(work / "classifier")),
        *("--set", f"finetuning.train_path={path}"),
        exit_code=1,
    )
    assert "train_data_sha256: was" in output


def test_finetuning_refuses_another_architecture_and_takes_other_dropout(work, tmp_path):
    arguments = ["finetune", "--config", str(work / "config.yaml"), "--output-dir", str(tmp_path)]
    output = run(*arguments, "--set", "model.hidden_size=32", exit_code=1)
    assert "model.hidden_size=32, but 16 in the stored model" in output
    short = ["--set", "finetuning.num_epochs=0.1", "--set", "model.hidden_dropout_prob=0.3"]
    run(*arguments, *short)
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["architecture"]["hidden_dropout_prob"] == 0.3


def test_ids_that_the_model_does_not_have_are_never_trained_on(work, tmp_path):
    shutil.copytree(work / "encoder", tmp_path / "encoder")
    path = tmp_path / "encoder" / "vocab.txt"  # gets the token of a common word as its last
    tokens = path.read_text("utf-8").replace("\n영화\n", "\nrenamed\n") + "영화\n"
    path.write_text(tokens, encoding="utf-8")
    description = json.loads((tmp_path / "encoder" / "model.json").read_text("utf-8"))
    del description["files_sha256"]  # as of a model that was trained before there were any
    (tmp_path / "encoder" / "model.json").write_text(json.dumps(description), "utf-8")
    output = run(
        *("finetune", "--config", str(work / "config.yaml"), "--output-dir", str(tmp_path / "c")),
        *("--set", f"finetuning.pretrained={tmp_path / 'encoder'}"),
        exit_code=1,
    )
    assert re.search(r"input_ids must be from 0 to (\d+)\. Received: \d+\. .*another voc", output)
    assert not (tmp_path / "c" / "model.json").exists()


def test_a_profile_shows_where_the_time_of_a_step_goes(work, tmp_path, caplog):
    arguments = ["finetune", "--config", str(work / "config.yaml"), "--output-dir", str(tmp_path)]
    arguments += ["--set", "finetuning.num_epochs=0.5"]
    output = run(*arguments, "--profile", "3:4", exit_code=2)
    assert "must be within the steps that will be trained, 1 to 3. Received: 3:4." in output
    assert not (tmp_path / "model.json").exists()
    run(*arguments, "--profile", "2:3")
    (table,) = [text for text in caplog.messages if text.startswith("Where the time of a step")]
    assert "wall time of step 2 to 3" in table
    assert re.search(r"^layer_0 attention( +\d+\.\d){3} +\d+\.\d%$", table, re.MULTILINE)
    assert list((tmp_path / "tensorboard" / "plugins" / "profile").glob("*/*.xplane.pb"))
    line = next(text for text in caplog.messages if text.startswith("finetune: 3 of 3"))
    assert " real tokens/s, MFU " in line


def test_from_scratch_needs_no_pretrained_folder(work, tmp_path):
    run(
        *("finetune", "--config", str(work / "config.yaml"), "--output-dir", str(tmp_path)),
        *("--set", "finetuning.pretrained=null", "--set", "finetuning.from_scratch=true"),
        *("--set", "finetuning.num_epochs=0.1"),
    )
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.flows
def test_a_pair_task_is_trained_evaluated_exported_and_asked(work, tmp_path):
    rows = ["first\tsecond\tlabel"]
    for index in range(48):
        first, second = KOREAN[index % 3], (KOREAN if index % 2 else ENGLISH)[index % 3]
        rows.append(f"{first}\t{second}\t{'same' if index % 2 else 'different'}")
    (tmp_path / "pairs.tsv").write_text("\n".join(rows), encoding="utf-8")
    columns = [
        *("--config", str(work / "config.yaml"), "--set", "finetuning.text_field=first"),
        *("--set", "finetuning.text_pair_field=second"),
        *("--set", f"finetuning.train_path={tmp_path / 'pairs.tsv'}"),
        *("--set", f"finetuning.eval_path={tmp_path / 'pairs.tsv'}"),
    ]
    folder = tmp_path / "model"
    trained = json.loads(run("finetune", *columns, "--output-dir", str(folder)))
    evaluated = json.loads(
        run(
            *("evaluate", *columns, "--output-dir", str(tmp_path / "evaluation")),
            *("--set", f"evaluation.model={folder}"),
            *("--set", f"evaluation.data={tmp_path / 'pairs.tsv'}"),
        )
    )
    assert evaluated["classification_accuracy"] == trained["classification_accuracy"] > 0.9
    run("export", "--set", f"export.model={folder}", "--output-dir", str(tmp_path / "pairs"))
    answer = run("predict", "--model", str(tmp_path / "pairs"), f"{KOREAN[0]}\t{ENGLISH[0]}")
    assert json.loads(answer)["label"] == "different"


def test_a_line_that_is_not_utf8_is_named(work, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes(b"good\n\xff\xfe\n")
    output = run(
        "predict", "--model", str(work / "served/reviews"), "--file", str(path), exit_code=1
    )
    assert f"{path}:2: text must be UTF-8" in output


def test_mlflow_receives_parameters_curves_configuration_vocabulary_and_picture(work, tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = CliRunner(env={"MLFLOW_TRACKING_URI": uri}).invoke(
        main,
        [
            *(
                "finetune",
                "--config",
                str(work / "config.yaml"),
                "--output-dir",
                str(tmp_path / "c"),
            ),
            *("--set", "tracking.enabled=true", "--set", "finetuning.num_epochs=2"),
            *("--set", "finetuning.training.log_every_steps=2"),
            *("--set", "tracking.system_metrics_interval_seconds=0.5"),
        ],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run_info,) = client.search_runs([client.get_experiment_by_name("bert_tf").experiment_id])
    assert run_info.info.status == "FINISHED"
    assert run_info.data.params["finetuning.training.batch_size"] == "16"
    assert run_info.data.params["model.hidden_size"] == "16", "the stored model's"
    curve = client.get_metric_history(run_info.info.run_id, "train/loss")
    assert [point.step for point in curve] == [2, 4, 6, 8, 10, 12]
    assert {"final/macro_f1", "eval/classification_accuracy"} <= run_info.data.metrics.keys()
    assert any(name.startswith("system/") for name in run_info.data.metrics)
    names = {item.path for item in client.list_artifacts(run_info.info.run_id)}
    assert {"config.yaml", "vocab.txt", "tokenizer.json", "confusion_matrix.png"} <= names
    data = {
        item.tags[0].value: json.loads(item.dataset.profile)
        for item in run_info.inputs.dataset_inputs
    }
    digest = hashlib.sha256((work / "train.tsv").read_bytes()).hexdigest()
    assert data["train"] == {"num_examples": 96, "sha256": digest}
    assert data["eval"]["num_examples"] == 20
    assert run_info.data.tags["package_version"] == __version__


def test_the_way_back_from_a_registered_version_and_the_same_run_again(work, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.tsv", "eval.tsv"):
        shutil.copy(work / name, data)
    model, again = tmp_path / "model", tmp_path / "again"
    run(
        *("finetune", "--config", str(work / "config.yaml"), "--output-dir", str(model)),
        *("--set", f"finetuning.train_path={data / 'train.tsv'}"),
        *("--set", f"finetuning.eval_path={data / 'eval.tsv'}"),
        *("--set", "finetuning.num_epochs=1"),
    )
    options = ("--config", str(work / "config.yaml"), "--set", f"export.model={model}")
    options += ("--set", "card.model_license=Apache-2.0", "--no-check")
    run("export", *options, "--output-dir", str(tmp_path / "export"))
    chosen = ("--name", "reviews", "--version", "1")
    run(
        *("registry", "register", "--model", str(tmp_path / "export"), "--name", "reviews"),
        *("--run-dir", str(model), "--alias", "champion", "--keep-model"),
    )
    for other, reason in (("encoder", "another model.json"), ("vocab", "one of `bert-tf vocab`")):
        refused = ("registry", "register", "--model", str(tmp_path / "export"), "--name", "other")
        assert reason in run(*refused, "--run-dir", str(work / other), exit_code=1)
    fetched = run(
        *("registry", "fetch", *chosen, "--model-folder", "--output-dir", str(tmp_path / "fetched"))
    )
    assert fetched.endswith("/fetched/model is reviews version 1\n")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    card = client.get_model_version("reviews", "1").description
    for line in (
        "A BERT for classification: 1 layers, 16 wide, 2 heads, a vocabulary of ",
        "Classes: other, 긍정.",
        "| licence of the model | Apache-2.0 |",
        "| limits | not said |",
        "| finetune | train: train.tsv | 96 | ",
        "| pretrain | pretraining: records | ",
        "| classification_accuracy | ",
    ):
        assert line in card
    shown = run("registry", "lineage", *chosen)
    assert shown.startswith("reviews version 1 (champion), registered ")
    assert f"train: {data / 'train.tsv'} (96 examples, SHA-256 " in shown
    assert f"pretraining: {work / 'records'} (" in shown, "the encoder's own data"
    found = json.loads(run("registry", "lineage", *chosen, "--json"))
    assert found["provenance"]["stage"] == "finetune"
    assert found["provenance"]["parent"]["stage"] == "pretrain"
    assert found["config"]["finetuning"]["num_epochs"] == 1.0

    refused = run("registry", "reproduce", *chosen, "--output-dir", str(model), exit_code=1)
    assert "a training is reproduced in a folder of its own" in refused
    run("registry", "reproduce", *chosen, "--output-dir", str(again))
    weights = [(folder / "model.safetensors").read_bytes() for folder in (model, again)]
    assert weights[0] == weights[1]

    (data / "train.tsv").write_text("text\tlabel\n하나\t긍정\n둘\tother\n", encoding="utf-8")
    message = run("registry", "reproduce", *chosen, "--output-dir", str(again), exit_code=1)
    assert f"train: {data / 'train.tsv'} has other content" in message


def test_registered_promoted_published_and_served_in_hangul(work, tmp_path, monkeypatch):
    from serving.client import GrpcClient, RestClient
    from serving.local_server import LocalServer
    from serving.server.model_config import ModelSettings

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    served = tmp_path / "serving"
    run(
        *("registry", "register", "--model", str(work / "served/reviews"), "--name", "reviews"),
        *("--run-dir", str(work / "classifier"), "--alias", "champion"),
    )
    (version,) = map(json.loads, run("registry", "list", "--json").splitlines())
    assert (version["version"], version["aliases"]) == (1, ["champion"])
    assert version["metrics"]["classification_accuracy"] == 1.0
    run(
        *("registry", "publish", "--name", "reviews", "--alias", "champion"),
        *("--base-dir", str(served)),
    )
    texts = [KOREAN[0], ENGLISH[0], ""]
    answers = run("predict", "--model", str(work / "served/reviews"), *texts[:2])
    expected = [json.loads(line)["label"] for line in answers.splitlines()]
    settings = ModelSettings("reviews", served / "reviews")
    with LocalServer([settings], port=0, rest_api_port=0) as server:
        with RestClient(server.rest_url, model_name="reviews") as client:
            client.wait_until_available()
            over_rest = client.predict_texts(texts)
        with GrpcClient(server.grpc_address, model_name="reviews") as client:
            over_grpc = client.predict_texts(texts)
    for answers in (over_rest, over_grpc):
        assert [answer["label"] for answer in answers[:2]] == expected == ["긍정", "other"]


@pytest.mark.flows
def test_logical_devices_on_request(work, tmp_path):
    process = _start_pretraining(work, tmp_path, 4, "pretraining.training.num_logical_devices=2")
    _, log = process.communicate(timeout=240)
    assert process.returncode == 0, log
    assert (tmp_path / "metrics.json").is_file()


def test_help_imports_neither_tensorflow_nor_mlflow():
    code = (
        "import sys; from click.testing import CliRunner; from bert_tf.cli.main import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "print([n for n in ('tensorflow', 'keras', 'mlflow', 'pydantic') if n in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout
    assert output.strip() == "[]"


def _start_pretraining(
    work: Path, output_dir: Path, num_steps: int, *overrides: str
) -> subprocess.Popen:
    command = [
        *(sys.executable, "-m", "bert_tf.cli", "pretrain"),
        *("--config", str(work / "config.yaml"), "--output-dir", str(output_dir)),
        *("--set", f"pretraining.num_train_steps={num_steps}"),
        *("--set", "pretraining.training.checkpoint_every_steps=5"),
        *(part for override in overrides for part in ("--set", override)),
    ]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def _wait_for_checkpoint(output_dir: Path, process: subprocess.Popen) -> None:
    give_up_at = time.monotonic() + 120
    while not list((output_dir / "checkpoints").glob("step-*.index")):  # the last of its files
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < give_up_at, "no checkpoint in two minutes"
        time.sleep(0.05)


@pytest.mark.flows
def test_a_killed_pretraining_goes_on_from_its_last_checkpoint(work, tmp_path):
    num_steps = 60
    killed = _start_pretraining(work, tmp_path / "killed", num_steps)
    _wait_for_checkpoint(tmp_path / "killed", killed)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "metrics.json").exists()
    again = _start_pretraining(work, tmp_path / "killed", num_steps)
    _, log = again.communicate(timeout=240)
    assert again.returncode == 0, log
    assert "Going on at step" in log
    whole = _start_pretraining(work, tmp_path / "whole", num_steps)
    whole.communicate(timeout=240)
    for name in ("model.safetensors", "metrics.json"):
        first = (tmp_path / "killed" / name).read_bytes()
        assert first == (tmp_path / "whole" / name).read_bytes(), name


def test_sigterm_checkpoints_and_says_so_with_its_exit_code(work, tmp_path):
    process = _start_pretraining(work, tmp_path, 100_000)
    _wait_for_checkpoint(tmp_path, process)
    process.terminate()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "checkpoint written" in log


def test_a_command_of_another_package_that_cannot_be_imported_spoils_no_other(monkeypatch):
    from importlib.metadata import EntryPoint

    from bert_tf.cli import main as module

    broken = EntryPoint("broken", "no_such_module:command", "bert_tf.commands")
    taken = EntryPoint("export", "no_such_module:command", "bert_tf.commands")
    monkeypatch.setattr(module, "_added_commands", lambda: {"broken": broken, "export": taken})
    helped = run("--help")
    assert "(cannot be imported)" in helped
    assert "Write a SavedModel for TF Serving" in helped, "a command of ours is not replaced"
    assert "No module named 'no_such_module'. Repair or" in run("broken", exit_code=1)
