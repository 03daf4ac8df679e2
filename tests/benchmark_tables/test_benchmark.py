"""The whole way: runs over seeds and settings, interrupted and resumed; table, picture, MLflow."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

import bert_tf
from bert_tf.benchmark_tables import benchmark, running
from bert_tf.benchmark_tables.benchmark import run_benchmark
from bert_tf.benchmark_tables.finding import find_sets
from bert_tf.benchmark_tables.glue import GLUE
from bert_tf.benchmark_tables.plan import Options, check_options, set_config
from bert_tf.benchmark_tables.table import results_markdown
from bert_tf.cli.main import main
from bert_tf.config import validate_config
from bert_tf.system.signals import TrainingInterruptedError
from tests.benchmark_tables.published import NUM_DEV, save_encoder, write_glue, write_klue
from tests.mlflow_stores import make_database

SMALL = {"max_seq_length": 24, "num_epochs": 1}
SETTINGS = {"tracking": {"enabled": False}, "finetuning": SMALL}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a model and with GLUE's files."""
    path = tmp_path_factory.mktemp("benchmark")
    save_encoder(path / "encoder")
    write_glue(path / "glue")
    return path


def measure(work, output_dir, *, sets=("mnli",), seeds=(1, 2), settings=SETTINGS, **given):
    more = {name: given.pop(name) for name in ("tracking_uri", "run", "show") if name in given}
    return run_benchmark(
        "glue",
        Options(model=str(work / "encoder"), seeds=seeds, **given),
        data=work / "glue",
        output_dir=output_dir,
        config=validate_config(settings),
        sets=sets,
        **more,
    )


@pytest.fixture(scope="module")
def measured(work):
    """A set with two seeds, in MLflow; the results."""
    uri = make_database(work / "mlflow.db")
    settings = {**SETTINGS, "tracking": {"system_metrics_interval_seconds": 60}}
    return measure(work, work / "out", settings=settings, tracking_uri=uri)


def test_a_killed_benchmark_goes_on_and_ends_with_the_same_results(work, measured, tmp_path):
    def killed_after_the_first(runs, its_work):
        running.run_here(runs[:1], its_work)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(work, tmp_path / "out", run=killed_after_the_first)
    first = tmp_path / "out" / "runs" / "mnli-seed-1" / "model.safetensors"
    written_at = first.stat().st_mtime_ns
    shown = []
    resumed = measure(work, tmp_path / "out", show=lambda *of_work: shown.append(of_work))
    assert first.stat().st_mtime_ns == written_at
    assert resumed == measured
    assert (tmp_path / "out" / "results.json").read_bytes() == (
        work / "out" / "results.json"
    ).read_bytes()
    assert shown[0][0] == "benchmark"
    assert 0 < shown[0][1] < shown[-1][1] == shown[-1][2]


def test_a_run_is_an_ordinary_fine_tuning_and_mnli_is_measured_on_both_parts(work, measured):
    runs = work / "out" / "runs"
    assert json.loads((runs / "mnli-seed-2" / "folder.json").read_text())["command"] == "finetune"
    values = measured["sets"]["mnli"]["scores"]
    assert list(values) == ["classification_accuracy", "mismatched classification_accuracy"]
    metrics = json.loads((runs / "mnli-seed-2-mismatched" / "metrics.json").read_text())
    expected = metrics["classification_accuracy"]
    assert values["mismatched classification_accuracy"]["values"][1] == expected
    assert measured["sets"]["mnli"]["num_examples"]["mismatched"] == NUM_DEV


def test_runs_are_shown_below_the_benchmark_in_mlflow(work, measured):
    client = MlflowClient(f"sqlite:///{work / 'mlflow.db'}")
    (experiment,) = [it for it in client.search_experiments() if it.name == "bert_tf"]
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent = runs["benchmark out"]
    below = {name for name, run in runs.items() if "mlflow.parentRunId" in run.data.tags}
    assert below == {"mnli-seed-1", "mnli-seed-2"}
    child = runs["mnli-seed-1"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    key = "classification_accuracy"
    mean = measured["sets"]["mnli"]["scores"][key]["mean"]
    assert parent.data.metrics[f"mnli/{key}"] == pytest.approx(mean)
    assert f"mnli/mismatched {key}_std" in parent.data.metrics
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"results.json", "results.md", "results.png"} <= names


def test_the_table_is_the_papers(work, measured):
    page = (work / "out" / "results.md").read_text("utf-8")
    assert "| model | MNLI<br>m accuracy / mm accuracy |" in page
    assert "| BERT-base (test, GLUE's server) | 84.60 / 83.40 |" in page
    scores = measured["sets"]["mnli"]["scores"]["classification_accuracy"]
    cell = f"{100 * scores['mean']:.2f} ± {100 * scores['std']:.2f}"
    assert f"| **encoder** (dev) | {cell} / " in page
    assert "mean ± standard deviation over 2 seeds (1, 2), in percent" in page
    assert "Devlin et al. 2019, table 1" in page
    assert "settings tried" not in page
    assert (work / "out" / "results.png").stat().st_size > 10_000


def test_the_best_of_several_settings_is_reported_and_that_is_said(work, tmp_path):
    rates = (1e-4, 1e-2)
    results = measure(work, tmp_path, sets=["mrpc"], seeds=(1,), learning_rates=rates)
    mrpc = results["sets"]["mrpc"]
    means = [it["scores"]["classification_accuracy"]["mean"] for it in mrpc["tried"]]
    assert [it["settings"]["learning_rate"] for it in mrpc["tried"]] == list(rates)
    assert mrpc["scores"]["classification_accuracy"]["mean"] == max(means)
    assert mrpc["scores"]["classification_accuracy"]["std"] is None
    assert mrpc["scores"]["f1"]["mean"] is not None
    page = results_markdown(results)
    assert "Of 2 settings tried, each set's best is reported" in page
    assert "| BERT-base (test, GLUE's server) | – / 88.90 |" in page
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "mrpc-lr0.0001-seed-1",
        "mrpc-lr0.01-seed-1",
    }


def test_a_set_has_its_own_settings_over_those_of_all_over_the_recipe(work):
    overrides = {"rte": {"training": {"batch_size": 8}, "task": {"label_smoothing": 0.1}}}
    options = Options(model="encoder", overrides=overrides)
    rte, stsb = (
        set_config(it, validate_config(SETTINGS), options).finetuning
        for it in reversed(find_sets(GLUE, work / "glue", names=["rte", "stsb"]))
    )
    assert (rte.training.batch_size, stsb.training.batch_size) == (8, 32)
    assert rte.task.options == {"label_smoothing": 0.1}
    assert rte.num_epochs == stsb.num_epochs == 1.0
    assert rte.training.optimizer.learning_rate == 2e-5
    assert stsb.task.options == {"range": [0.0, 5.0]}


def test_from_python_it_is_the_same_and_what_is_finished_is_not_run_again(work, measured):
    out = work / "out"
    before = (out / "runs" / "mnli-seed-2" / "metrics.json").stat().st_mtime_ns
    again = bert_tf.benchmark(
        "glue",
        model=work / "encoder",
        data=work / "glue",
        output_dir=out,
        sets=["mnli"],
        seeds=(1, 2),
        config=bert_tf.Config(tracking={"enabled": False}),
        show_progress=False,
        **SMALL,
    )
    assert again == measured
    assert (out / "runs" / "mnli-seed-2" / "metrics.json").stat().st_mtime_ns == before


def test_a_run_does_not_go_on_with_other_settings(work, measured):
    with pytest.raises(ValueError, match=r"mnli-seed-1: a run must go on with the model, data"):
        measure(work, work / "out", overrides={"mnli": {"num_epochs": 2}})


def test_what_cannot_be_run_is_refused_before_anything_is_written(work, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(FileNotFoundError, match=r"--model must be a model folder.*no such folder"):
        measure(tmp_path, out)
    with pytest.raises(ValueError, match=r"cola: max_seq_length must be at most the model's 32"):
        measure(work, out, sets=["cola"], settings={"tracking": {"enabled": False}})
    with pytest.raises(ValueError, match=r"finetuning.text_field must be left out: each set"):
        measure(work, out, settings={**SETTINGS, "finetuning": {"text_field": "x"}})
    with pytest.raises(ValueError, match=r"rte.label_field must be left out"):
        measure(work, out, overrides={"rte": {"label_field": "x"}})
    with pytest.raises(ValueError, match=r"--seeds must name each value once. Received: 1, 1"):
        check_options(Options(model="x", seeds=(1, 1)), GLUE)
    with pytest.raises(ValueError, match=r"A benchmark must be one of glue, klue"):
        run_benchmark("superglue", Options(model="x"), data=work, output_dir=out)
    assert not out.exists()
    with pytest.raises(ValueError, match=r"into a folder with a fine-tuning"):
        measure(work, work / "out" / "runs" / "mnli-seed-1")


def test_a_stop_is_passed_on_with_its_exit_code(work, tmp_path, monkeypatch):
    def stopped(runs, its_work):
        raise TrainingInterruptedError("Stopped.")

    monkeypatch.setattr(running, "run_here", stopped)
    arguments = ["benchmark", "glue", "--model", str(work / "encoder"), "--data"]
    arguments += [str(work / "glue"), "--sets", "rte", "--output-dir", str(tmp_path / "out")]
    arguments += ["--set", "tracking.enabled=false", "--set", "rte.max_seq_length=24"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 143
    assert "Run the same command to go on." in result.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--seeds", "1,two"], "must be numbers with commas between them"),
        (["--learning-rates", "0"], "must be above 0"),
        (["--num-workers", "2"], "are for --engine ray"),
    ],
)
def test_wrong_options_exit_with_2(work, tmp_path, given, message):
    arguments = ["benchmark", "glue", "--model", str(work / "encoder"), "--data", str(work)]
    result = CliRunner().invoke(main, [*arguments, "--output-dir", str(tmp_path), *given])
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.slow
def test_every_set_of_klue_is_trained_and_has_its_scores(work, tmp_path):
    write_klue(tmp_path / "klue")
    results = run_benchmark(
        "klue",
        Options(model=str(work / "encoder"), seeds=(1,)),
        data=tmp_path / "klue",
        output_dir=tmp_path / "out",
        config=validate_config({**SETTINGS, "finetuning": {**SMALL, "window_stride": 8}}),
    )
    for name, of_set in results["sets"].items():
        for score in of_set["scores"].values():
            # The correlation of a model that answers the same everywhere is not defined.
            assert score["mean"] is not None or score["title"] == "Pearson", (name, score)
    assert benchmark.BENCHMARKS["klue"].published[0].model in results_markdown(results)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_runs_on_a_ray_cluster_are_those_of_one_process(work, measured, tmp_path):
    assert measure(work, tmp_path, run=running.run_on_ray) == measured
