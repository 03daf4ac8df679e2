"""The shipped flows from end to end on a small text; the trial of the schedule stands apart."""

import json
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bert_tf import registry
from bert_tf.cli.main import main
from bert_tf.config import validate_config
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.data.text.learning import learn_tokenizer
from bert_tf.models.description import ModelDescription, weights_sha256
from bert_tf.models.folder import save_model
from bert_tf.tasks.models import build_model
from pipelines.engine.step_state import work_address
from pipelines.flows import FLOWS
from tests.mlflow_stores import make_database

WORDS = {"good": ("좋은", "재미", "최고"), "bad": ("나쁜", "지루", "최악")}


def test_every_flow_can_be_told_from_its_definition():
    for name, flow in FLOWS.items():
        assert (flow.name, bool(flow.purpose)) == (name, True)
        names = [step.name for step in flow.steps]
        assert len(set(names)) == len(names)
        for number, step in enumerate(flow.steps):
            module, function = work_address(step.work).split(":")
            assert module.startswith("pipelines.")
            assert step.work.__doc__, function
            for wanted in step.after:
                known = set(wanted.split("|"))
                everywhere = {s.name for other in FLOWS.values() for s in other.steps}
                assert known <= everywhere, "a step that no flow has"
                assert not known & set(names[number:]), "a step that comes later"


class Site:
    """A corpus, labels, a checkpoint of another library."""

    def __init__(self, folder: Path) -> None:
        self.folder, draw = folder, random.Random(3)
        (folder / "corpus").mkdir()
        (folder / "labels").mkdir()
        every = [word for words in WORDS.values() for word in words]
        documents = [
            "\n".join(" ".join(draw.choices(every, k=6)) for _ in range(6)) for _ in range(80)
        ]
        (folder / "corpus" / "a.txt").write_text("\n\n".join(documents), encoding="utf-8")
        rows = ["text\tlabel"]
        for number in range(150):
            label = draw.choice(list(WORDS))
            rows.append(f"{draw.choice(WORDS[label])} 영화 {number}\t{label}")
        (folder / "labels" / "a.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        self.uri = make_database(folder / "mlflow.db")

    def run(self, flow: str, *options: str) -> Result:
        common = [
            "--config",
            str(self.folder / "flow.yaml"),
            "--output-dir",
            str(self.folder / "out"),
        ]
        return CliRunner().invoke(main, ["pipeline", "run", flow, *common, "--json", *options])

    def configure(self, **flow: object) -> None:
        training = {"batch_size": 16, "log_every_steps": 5, "evaluate_every_steps": None}
        rate = {"optimizer": {"learning_rate": 3e-3}}
        tree = {
            "corpus": {"paths": [str(self.folder / "corpus")], "held_out_share": 0.2},
            "vocabulary": {"size": 60},
            "examples": {"max_seq_length": 32},
            "records": {"num_shards": 2, "num_workers": 1},
            "masking": {"max_predictions_per_seq": 5},
            "model": {} if "checkpoint" in flow else SHAPE,
            "pretraining": {"num_train_steps": 4, "max_eval_steps": 1, "training": training},
            "finetuning": {"max_seq_length": 32, "num_epochs": 3, "training": training | rate},
            "gate": {"max_latency_ratio": None},
            "flow": {
                "model_name": "reviews",
                "labelled_paths": [str(self.folder / "labels")],
                "serving_dir": str(self.folder / "serving"),
                "min_free_disk_gb": 0.1,
                "continued_epochs": 1.0,
                **flow,
            },
        }
        (self.folder / "flow.yaml").write_text(json.dumps(tree), encoding="utf-8")

    def write_checkpoint(self) -> Path:
        """A BERT of Hugging Face's with a vocabulary of its own."""
        ours = self.folder / "ours"
        config = validate_config(
            {"corpus": {"paths": [str(self.folder / "corpus")]}, "vocabulary": {"size": 60}}
        )
        tokenizer = learn_tokenizer(config, ours)
        shape = validate_config({"model": {**SHAPE, "vocab_size": tokenizer.vocab_size}}).model
        description = ModelDescription(kind="pretraining", architecture=shape, max_seq_length=32)
        save_model(build_model(description), description, ours)
        convert_checkpoint(str(ours), self.folder / "published", target_format="huggingface")
        return self.folder / "published"


SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", site.uri)
    monkeypatch.chdir(tmp_path)
    return site


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_published_checkpoint_becomes_a_served_classifier_that_can_be_trained_again(site):
    site.configure(checkpoint=str(site.write_checkpoint()))
    result = site.run("domain_adaptation")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["status"], record["model"]) == ("done", "reviews version 1")
    assert {step["status"] for step in record["steps"]} == {"done"}
    assert registry.read_aliases(name="reviews-encoder", tracking_uri=site.uri)["champion"] == 1
    flow_dir = site.folder / "out" / "domain_adaptation"
    encoder = flow_dir / "steps" / "continue_pretraining"
    assert weights_sha256(encoder) != weights_sha256(flow_dir / "steps/import_checkpoint/model")

    # The way back, after the folders of the run are gone.
    trained = weights_sha256(flow_dir / "steps" / "finetune")
    shutil.rmtree(flow_dir / "steps")
    chosen = ["--name", "reviews", "--alias", "champion"]
    lineage = CliRunner().invoke(main, ["registry", "lineage", *chosen])
    assert "on the encoder reviews-encoder version 1" in lineage.output
    again = site.folder / "again"
    asked = ["registry", "reproduce", *chosen, "--output-dir", str(again)]
    reproduced = CliRunner().invoke(main, asked)
    assert reproduced.exit_code == 0, reproduced.output
    assert weights_sha256(again) == trained

    # Another flow takes the registered encoder, and registers the same thing once more only if
    # it is another.
    site.configure()
    tuned = site.run("finetuning", "--until", "export")
    assert tuned.exit_code == 0, tuned.output
    assert weights_sha256(site.folder / "out" / "finetuning" / "steps" / "finetune") == trained


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_prepare_and_training_take_ray(site):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    site.configure(engine="ray", num_workers=1)
    result = site.run("pretraining", "--until", "pretrain")
    assert result.exit_code == 0, result.output
    steps = site.folder / "out" / "pretraining" / "steps"
    on_ray = (steps / "prepare" / "manifest.json").read_bytes()
    assert (steps / "pretrain" / "ray").is_dir()
    shutil.rmtree(site.folder / "out")
    site.configure()
    assert site.run("pretraining", "--until", "prepare").exit_code == 0
    assert (steps / "prepare" / "manifest.json").read_bytes() == on_ray
