"""A schedule left running: new data, a damaged file, a worse model, a dead server, a kill.

Everything is real: Dagster's daemon with a run each minute, an MLflow server with an artifact
proxy, the local server behind the smoke test. At the end registry, serving folder and history must
tell one story. Takes about half an hour.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from bert_tf import registry
from pipelines.engine import history
from tests.mlflow_stores import free_port, make_database, running_server

pytest.importorskip("dagster", reason="the extra `orchestrate` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
NAME = "reviews"
GOOD, BAD = ("좋은 영화", "재미 있다", "최고"), ("나쁜 영화", "지루 하다", "최악")


def write_corpus(path: Path, draw: random.Random, num_documents: int) -> None:
    words = [*GOOD, *BAD, "배우", "감독", "이야기", "음악", "장면", "처음", "끝"]
    documents = [
        "\n".join(" ".join(draw.choices(words, k=6)) + "." for _ in range(6))
        for _ in range(num_documents)
    ]
    path.write_text("\n\n".join(documents) + "\n", encoding="utf-8")


def write_labels(path: Path, draw: random.Random, number: int) -> None:
    rows = ["text\tlabel"]
    for index in range(number):
        label, words = draw.choice((("good", GOOD), ("bad", BAD)))
        rows.append(f"{draw.choice(words)} 배우 {path.stem} {index}\t{label}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


class Site:
    """Where it all happens."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.draw = folder, random.Random(1)
        self.corpus, self.labels = folder / "corpus", folder / "labels"
        for path in (self.corpus, self.labels):
            path.mkdir()
        self.out, self.serving = folder / "out", folder / "serving"
        self.database = make_database(folder / "mlflow.db")
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.config = folder / "flow.yaml"
        self.config.write_text(yaml.safe_dump(self._settings()), encoding="utf-8")
        self.environment = {**os.environ, "MLFLOW_TRACKING_URI": self.uri}

    def _settings(self) -> dict:
        training = {"batch_size": 16, "log_every_steps": 5, "evaluate_every_steps": None}
        rate = {"optimizer": {"learning_rate": 3e-3}}
        return {
            "corpus": {"paths": [str(self.corpus)], "held_out_share": 0.2},
            "vocabulary": {"size": 200},
            "examples": {"max_seq_length": 32},
            "records": {"num_shards": 1, "num_workers": 1},
            "masking": {"max_predictions_per_seq": 5},
            "model": {
                "num_hidden_layers": 1,
                "hidden_size": 32,
                "num_attention_heads": 2,
                "intermediate_size": 64,
                "max_position_embeddings": 32,
            },
            "pretraining": {"num_train_steps": 10, "max_eval_steps": 2, "training": training},
            "finetuning": {"max_seq_length": 32, "num_epochs": 8, "training": training | rate},
            # Two models of one shape on one machine: what differs is the noise of the machine.
            "gate": {"max_latency_ratio": None, "minimum": 0.8},
            "flow": {
                "model_name": NAME,
                "labelled_paths": [str(self.labels)],
                "serving_dir": str(self.serving),
                "cron": "* * * * *",
                "min_new_documents": 10,
                "backoff_seconds": 1.0,
                "min_free_disk_gb": 0.1,
            },
        }

    def server(self) -> contextlib.AbstractContextManager[str]:
        return running_server(self.database, artifacts=self.folder / "artifacts", port=self.port)

    def bert_tf(self, *arguments: str) -> list[str]:
        common = ["--config", str(self.config), "--output-dir", str(self.out)]
        return [sys.executable, "-m", "bert_tf.cli", "pipeline", *arguments, *common]

    @contextlib.contextmanager
    def schedule(self, *options: str) -> Iterator[None]:
        with (self.folder / "schedule.log").open("ab") as log:
            process = subprocess.Popen(
                self.bert_tf("schedule", "refresh", *options),
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield
            assert process.poll() is None, "the daemon must still be there"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0

    @property
    def runs(self) -> list[history.RunRecord]:
        return history.read_history(self.out / "refresh")

    def wait_for_run(
        self, is_it: Callable[[history.RunRecord], bool], *, after: int
    ) -> history.RunRecord:
        """The first such run in the history past its first `after` ones."""
        end = time.monotonic() + 900
        while time.monotonic() < end:
            for run in self.runs[after:]:
                if is_it(run):
                    return run
            time.sleep(1)
        told = [(run.status, run.reason) for run in self.runs]
        raise AssertionError(f"waited too long. The history: {told}")

    def wait_for_step(self, name: str) -> None:
        end = time.monotonic() + 600
        while time.monotonic() < end:
            state = history.read_state(self.out / "refresh")
            if state and state.status == "running" and state.step(name).status == "running":
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} never ran")

    def aliases(self, name: str = NAME) -> dict[str, int]:
        return registry.read_aliases(name=name, tracking_uri=self.uri)

    def served(self) -> dict[int, int]:
        """Number in the serving folder -> version in the registry."""
        return {
            int(path.name): registry.read_origin(path)["version"]
            for path in (self.serving / NAME).glob("[0-9]*")
        }


def is_done(run: history.RunRecord) -> bool:
    return run.status == "done"


def step_processes(site: Site) -> list[psutil.Process]:
    """Of this site: others may be at work on the machine."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "pipelines.engine.step_process" in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MLFLOW_TRACKING_URI") == site.uri:
                    found.append(process)
    return found


def test_registry_serving_folder_and_history_tell_one_story(tmp_path):
    site = Site(tmp_path)
    write_corpus(site.corpus / "first.txt", site.draw, 60)
    write_labels(site.labels / "first.tsv", site.draw, 200)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(contextlib.ExitStack())
        server.enter_context(site.server())
        begun = subprocess.run(
            site.bert_tf("run", "pretraining"), cwd=ROOT, env=site.environment, timeout=600
        )
        assert begun.returncode == 0
        with site.schedule():
            first = site.wait_for_run(is_done, after=0)
            assert first.model == f"{NAME} version 1"
            assert site.served() == {1: 1}

            # New text, and a file that nobody can read.
            seen = len(site.runs)
            (site.corpus / "broken.txt").write_bytes(b"\xff\xfe broken\n")
            write_corpus(site.corpus / "second.txt", site.draw, 60)
            second = site.wait_for_run(is_done, after=seen)
            assert second.step("continue_pretraining").status == "done"
            assert [Path(file["path"]).name for file in second.set_aside] == ["broken.txt"]
            assert site.aliases(f"{NAME}-encoder")["champion"] == 2
            assert site.served() == {1: 1, 2: 2}

            # Nothing new: nothing is done, and the run says so.
            idle = site.wait_for_run(lambda run: run.status == "nothing_new", after=seen)
            assert "0 new documents" in idle.reason

            # kill -9 in the middle: Dagster starts it again, and it goes on.
            seen = len(site.runs)
            write_labels(site.labels / "third.tsv", site.draw, 40)
            site.wait_for_step("export")
            (step,) = step_processes(site)
            step.parent().kill()
            killed = site.wait_for_run(lambda run: run.status == "killed", after=seen)
            assert killed.reason == "killed at export"
            third = site.wait_for_run(is_done, after=seen)
            assert third.step("finetune").status == "reused"
            assert site.served() == {1: 1, 2: 2, 3: 3}

            # The registry's server dies while it is needed, and comes back.
            seen = len(site.runs)
            write_labels(site.labels / "fourth.tsv", site.draw, 40)
            site.wait_for_step("evaluate")
            server.close()
            failed = site.wait_for_run(lambda run: run.status == "failed", after=seen)
            assert "the MLflow server must answer" in failed.reason
            server.enter_context(site.server())
            fourth = site.wait_for_run(is_done, after=seen)
            assert fourth.step("finetune").status == "reused"
            assert site.served() == {1: 1, 2: 2, 3: 3, 4: 4}

        # A worse model: the schedule is started again with a learning rate that teaches nothing.
        seen = len(site.runs)
        worse = "finetuning.training.optimizer.learning_rate=1e-9"
        with site.schedule("--set", worse):
            refused = site.wait_for_run(lambda run: run.status == "refused", after=seen)
            assert f"{NAME} version 5: accuracy" in refused.reason
            still = site.wait_for_run(lambda run: run.status == "nothing_new", after=seen)
            assert f"still {NAME} version 5" in still.reason

        versions = registry.list_versions(name=NAME, tracking_uri=site.uri)
        assert [version.version for version in versions] == [1, 2, 3, 4, 5]
        assert site.aliases() == {"champion": 4, "previous": 3, "challenger": 5}
        assert site.served() == {1: 1, 2: 2, 3: 3, 4: 4}
        passed = [version.tags["gate.has_passed"] for version in versions]
        assert passed == ["true"] * 4 + ["false"]
        models = {run.model for run in site.runs if run.status == "done"}
        assert models == {f"{NAME} version {number}" for number in (1, 2, 3, 4)}
        encoders = [version.tags["encoder.version"] for version in versions]
        assert encoders == ["1", "2", "2", "2", "2"]
        client = MlflowClient(site.uri)
        experiment = client.get_experiment_by_name("bert_tf")
        flows = client.search_runs([experiment.experiment_id], "tags.flow = 'refresh'")
        assert {run.data.tags["flow.status"] for run in flows} >= {"done", "refused"}
        told = json.dumps([run.as_json() for run in site.runs], ensure_ascii=False)
        assert "broken.txt" in told
    assert not step_processes(site)
