"""The definitions of the flows, and those that begin with a published checkpoint or on Ray."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bert_tf import registry
from bert_tf.cli.main import main
from bert_tf.models.description import weights_sha256
from pipelines.engine.processes import python_path
from pipelines.engine.step_state import work_address
from pipelines.flows import FLOWS
from pipelines.steps.local_server import serve
from tests.pipelines.site import BAD, GOOD, NAME, Site, statuses


def test_every_flow_can_be_told_from_its_definition():
    for name, flow in FLOWS.items():
        assert (flow.name, bool(flow.purpose)) == (name, True)
        names = [step.name for step in flow.steps]
        assert len(set(names)) == len(names)
        for number, step in enumerate(flow.steps):
            module, function = work_address(step.work).split(":")
            assert module.startswith("pipelines.")
            assert step.work.__doc__, function
            for wanted in (*step.after, *step.sees):
                known = set(wanted.split("|"))
                everywhere = {s.name for other in FLOWS.values() for s in other.steps}
                assert known <= everywhere, "a step that no flow has"
                assert not known & set(names[number:]), "a step that comes later"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(tmp_path)
    site.add_text("a.txt")
    site.add_labels("a.tsv")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", site.uri)
    monkeypatch.chdir(tmp_path)
    return site


@pytest.mark.flows
@pytest.mark.timeout(1200)
def test_a_published_checkpoint_becomes_a_served_classifier_that_can_be_trained_again(site):
    site.configure(checkpoint=str(site.write_checkpoint()))
    record = site.run("domain_adaptation")
    assert (record.status, record.model) == ("done", f"{NAME} version 1")
    assert set(statuses(record).values()) == {"done"}
    assert registry.read_aliases(name=f"{NAME}-encoder", tracking_uri=site.uri)["champion"] == 1
    flow_dir = site.out / "domain_adaptation"
    encoder = flow_dir / "steps" / "continue_pretraining"
    assert weights_sha256(encoder) != weights_sha256(flow_dir / "steps/import_checkpoint/model")
    assert_clients_agree(site)

    # The way back, after the folders of the run are gone.
    trained = weights_sha256(flow_dir / "steps" / "finetune")
    shutil.rmtree(flow_dir / "steps")
    chosen = ["--name", NAME, "--alias", "champion"]
    lineage = CliRunner().invoke(main, ["registry", "lineage", *chosen])
    assert f"on the encoder {NAME}-encoder version 1" in lineage.output
    again = site.folder / "again"
    asked = ["registry", "reproduce", *chosen, "--output-dir", str(again)]
    reproduced = CliRunner().invoke(main, asked)
    assert reproduced.exit_code == 0, reproduced.output
    assert weights_sha256(again) == trained

    # Another flow takes the registered encoder, and ends with the same thing.
    site.configure()
    site.run("finetuning", "--until", "export")
    assert weights_sha256(site.out / "finetuning" / "steps" / "finetune") == trained


def assert_clients_agree(site: Site) -> None:
    """The command of the client says over REST and gRPC what `bert-tf predict` says."""
    texts = [GOOD[0], BAD[0]]
    (version,) = (site.serving / NAME).glob("[0-9]*")
    predicted = CliRunner().invoke(main, ["predict", "--model", str(version), *texts])
    expected = [json.loads(line)["label"] for line in predicted.stdout.splitlines()]
    assert expected == ["good", "bad"], predicted.output
    with serve(site.serving / NAME, log_dir=site.folder) as (url, grpc_address):
        for address in (("--url", url), ("--grpc", grpc_address)):
            asked = subprocess.run(
                [sys.executable, "-m", "serving.client", *address, "--model", NAME, *texts],
                env={**os.environ, **python_path()},
                capture_output=True,
                text=True,
                check=True,
            )
            lines = asked.stdout.splitlines()
            assert [json.loads(line)["label"] for line in lines] == expected, address


@pytest.mark.flows
@pytest.mark.timeout(1200)
def test_prepare_and_training_take_two_workers_of_ray(site):
    site.configure(engine="ray", num_workers=2)
    site.run("pretraining", "--until", "pretrain")
    steps = site.out / "pretraining" / "steps"
    on_ray = (steps / "prepare" / "manifest.json").read_bytes()
    metrics = json.loads((steps / "pretrain" / "metrics.json").read_text())
    assert (steps / "pretrain" / "ray").is_dir()
    shutil.rmtree(site.out)
    site.configure()
    site.run("pretraining", "--until", "pretrain")
    assert (steps / "prepare" / "manifest.json").read_bytes() == on_ray
    here = json.loads((steps / "pretrain" / "metrics.json").read_text())
    # Each worker draws masks of its own: close, and no more than that.
    assert here["masked_lm_loss"] == pytest.approx(metrics["masked_lm_loss"], rel=0.1)
