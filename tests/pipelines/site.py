"""A place where flows are run: text, labelled texts, an empty MLflow, a serving folder."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner, Result

from bert_tf import registry
from bert_tf.cli.main import main
from bert_tf.config import validate_config
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.data.text.learning import learn_tokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.tasks.models import build_model
from pipelines.engine import history, step_process
from pipelines.engine.attempts import Attempts, plan_of
from pipelines.engine.processes import python_path
from pipelines.engine.step import Context, Step
from tests.mlflow_stores import make_database

NAME = "reviews"
GOOD, BAD = ("좋은 영화", "재미 있다", "최고"), ("나쁜 영화", "지루 하다", "최악")
OTHERS = ("배우", "감독", "이야기", "음악", "장면", "처음", "끝")
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
DEAD_SERVER = "http://127.0.0.1:9"
"""An address at which nobody answers."""
TEACHES_NOTHING = ("--set", "finetuning.training.optimizer.learning_rate=1e-9")


class Site:
    """Its folders, and the commands that a user gives there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.draw = folder, random.Random(1)
        self.corpus, self.labels = folder / "corpus", folder / "labels"
        self.out, self.serving = folder / "out", folder / "serving"
        self.config = folder / "flow.yaml"
        self.corpus.mkdir()
        self.labels.mkdir()
        self.uri = make_database(folder / "mlflow.db")

    def add_text(self, name: str, num_documents: int = 60) -> None:
        """A corpus file of documents that no other file has."""
        words = [*GOOD, *BAD, *OTHERS]
        documents = [
            "\n".join(" ".join(self.draw.choices(words, k=6)) + "." for _ in range(6))
            for _ in range(num_documents)
        ]
        (self.corpus / name).write_text("\n\n".join(documents) + "\n", encoding="utf-8")

    def add_labels(self, name: str, number: int = 150) -> None:
        """A file of texts whose words say their labels."""
        rows = ["text\tlabel"]
        for index in range(number):
            label, words = self.draw.choice((("good", GOOD), ("bad", BAD)))
            rows.append(f"{self.draw.choice(words)} 배우 {name} {index}\t{label}")
        (self.labels / name).write_text("\n".join(rows) + "\n", encoding="utf-8")

    def configure(self, **flow: object) -> None:
        """Write the flows' configuration; `flow` is of its section of that name."""
        training = {"batch_size": 16, "log_every_steps": 5, "evaluate_every_steps": None}
        rate = {"optimizer": {"learning_rate": 1e-2}}
        tree = {
            "corpus": {"paths": [str(self.corpus)], "held_out_share": 0.2},
            "vocabulary": {"size": 60},
            "examples": {"max_seq_length": 32},
            "records": {"num_shards": 1, "num_workers": 1},
            "masking": {"max_predictions_per_seq": 5},
            "model": {} if "checkpoint" in flow else SHAPE,
            "pretraining": {"num_train_steps": 2, "max_eval_steps": 1, "training": training},
            "finetuning": {"max_seq_length": 32, "num_epochs": 8, "training": training | rate},
            # Two models of one shape on one machine: what differs is the noise of the machine.
            "gate": {"max_latency_ratio": None, "minimum": 0.8},
            "flow": {
                "model_name": NAME,
                "labelled_paths": [str(self.labels)],
                "serving_dir": str(self.serving),
                "min_new_documents": 10,
                "continued_epochs": 0.1,
                "backoff_seconds": 0.1,
                "max_attempts": 2,
                "min_free_disk_gb": 0.1,
                **flow,
            },
        }
        self.config.write_text(yaml.safe_dump(tree), encoding="utf-8")

    def write_checkpoint(self) -> Path:
        """A BERT of Hugging Face's with a vocabulary of its own."""
        ours = self.folder / "ours"
        corpus = {"paths": [str(self.corpus)]}
        tokenizer = learn_tokenizer(
            validate_config({"corpus": corpus, "vocabulary": {"size": 60}}), ours
        )
        shape = validate_config({"model": {**SHAPE, "vocab_size": tokenizer.vocab_size}}).model
        description = ModelDescription(kind="pretraining", architecture=shape, max_seq_length=32)
        save_model(build_model(description), description, ours)
        convert_checkpoint(str(ours), self.folder / "published", target_format="huggingface")
        return self.folder / "published"

    # --- what a user does

    def command(self, flow: str, *options: str) -> list[str]:
        """The arguments of `bert-tf` that run a flow here."""
        places = ["--config", str(self.config), "--output-dir", str(self.out)]
        return ["pipeline", "run", flow, *places, "--json", *options]

    def invoke(self, flow: str, *options: str) -> Result:
        return CliRunner().invoke(main, self.command(flow, *options))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`bert-tf` as a process, which stands in a folder with packages of our packages' names."""
        elsewhere = self.folder / "elsewhere"
        for name in ("pipelines", "serving"):
            (elsewhere / name).mkdir(parents=True, exist_ok=True)
            (elsewhere / name / "__init__.py").write_text("raise ImportError('the wrong one')")
        with (self.folder / "bert-tf.log").open("ab") as log:
            return subprocess.Popen(
                [str(Path(sys.executable).with_name("bert-tf")), *arguments],
                env={**os.environ, "MLFLOW_TRACKING_URI": self.uri, **python_path()},
                cwd=elsewhere,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, flow: str, *options: str, exit_code: int = 0) -> history.RunRecord:
        """Run a flow, which ends with `exit_code`; what it wrote down."""
        result = self.invoke(flow, *options)
        assert result.exit_code == exit_code, f"{result.output}\n{self.logs(flow)}"
        return self.runs(flow)[-1]

    def wait_for_step(self, name: str, *, flow: str = "refresh") -> psutil.Process:
        """The process of a step, as soon as it is at work."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            state = history.read_state(self.out / flow)
            if state and state.status == "running" and state.step(name).status == "running":
                processes = step_processes(self)
                if processes:  # The other one stands by for the next step.
                    return min(processes, key=lambda process: process.create_time())
            time.sleep(0.1)
        raise AssertionError(f"{name} never ran")

    # --- what there is then

    def runs(self, flow: str = "refresh") -> list[history.RunRecord]:
        return history.read_history(self.out / flow)

    def logs(self, flow: str) -> str:
        """Of the step that ran last."""
        logs = sorted(
            (self.out / flow / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime
        )
        return logs[-1].read_text(encoding="utf-8")[-3000:] if logs else ""

    def told(self) -> str:
        """What the processes of `start` said last."""
        return (self.folder / "bert-tf.log").read_text(encoding="utf-8")[-5000:]

    def aliases(self, name: str = NAME) -> dict[str, int]:
        return registry.read_aliases(name=name, tracking_uri=self.uri)

    def served(self) -> dict[int, int]:
        """Number in the serving folder -> version in the registry."""
        return {
            int(path.name): registry.read_origin(path)["version"]
            for path in (self.serving / NAME).glob("[0-9]*")
        }


def statuses(record: history.RunRecord) -> dict[str, str]:
    """Step -> what became of it."""
    return {step.name: step.status for step in record.steps}


def step_processes(site: Site) -> list[psutil.Process]:
    """Of this site: others may be at work on the machine."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "pipelines.engine.step_process" in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.Error):
                if process.environ().get("MLFLOW_TRACKING_URI") == site.uri:
                    found.append(process)
    return found


def run_steps_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save each step the start of a process; what it is told is what its process would be told."""

    def outcome(_: Attempts, step: Step, context: Context) -> dict[str, Any]:
        told = json.loads(json.dumps(plan_of(step, context)))
        return json.loads(json.dumps(step_process.do(told)))

    monkeypatch.setattr(Attempts, "_outcome", outcome)
