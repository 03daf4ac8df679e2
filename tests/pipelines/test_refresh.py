"""The scheduled flow over some weeks, with a process a step, from a folder that is not ours."""

import signal
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main
from pipelines.steps.local_server import serve
from tests.keyword_model import save_keyword
from tests.pipelines.site import NAME, TEACHES_NOTHING, Site, statuses, step_processes

pytestmark = [pytest.mark.flows, pytest.mark.timeout(1200)]

ENCODER = f"{NAME}-encoder"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Where an encoder was pretrained and the first classifier is served."""
    site = Site(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", site.uri)
        patch.chdir(site.folder)
        site.add_text("first.txt")
        site.add_labels("first.tsv")
        site.configure()
        for flow in ("pretraining", "refresh"):
            assert site.start(*site.command(flow)).wait(600) == 0, site.told()
        yield site
    assert not step_processes(site), "a step's process was left behind"


def test_new_text_goes_into_encoder_and_classifier_although_a_step_is_killed(site):
    assert site.runs()[0].model == f"{NAME} version 1"
    assert (site.aliases(ENCODER), site.served()) == ({"champion": 1}, {1: 1})
    idle = site.run("refresh")
    assert idle.status == "nothing_new"
    assert "0 new documents" in idle.reason

    site.add_text("second.txt")
    process = site.start(*site.command("refresh"))
    site.wait_for_step("export_encoder").send_signal(signal.SIGKILL)
    assert process.wait(120) == 1
    killed = site.runs()[-1]
    assert killed.reason == "export_encoder: its process was killed; out of memory, perhaps"
    assert site.aliases(ENCODER) == {"champion": 1}

    resumed = site.run("refresh")
    made = statuses(resumed)
    assert made["continue_pretraining"] == made["prepare"] == "reused"
    assert made["export_encoder"] == made["finetune"] == made["smoke_test"] == "done"
    assert (resumed.status, resumed.model) == ("done", f"{NAME} version 2")
    assert (site.aliases(ENCODER)["champion"], site.served()) == (2, {1: 1, 2: 2})
    assert site.run("refresh").status == "nothing_new"


def test_a_version_that_somebody_rolled_back_is_not_published_again(site):
    champion, before = site.aliases()["champion"], site.aliases()["previous"]
    publish = ["publish", "--alias", "champion", "--base-dir", str(site.serving)]
    for command in (["rollback"], publish):
        done = CliRunner().invoke(main, ["registry", *command, "--name", NAME])
        assert done.exit_code == 0, done.output
    assert site.aliases()["champion"] == before
    assert site.served() == {1: before, 2: champion, 3: before}
    again = site.run("refresh")
    assert again.status == "nothing_new"
    assert f"still {NAME} version {champion} is not published" in again.reason
    assert (site.aliases()["champion"], len(site.served())) == (before, 3)


def test_a_worse_model_is_refused_and_stays_refused(site):
    before = (site.aliases()["champion"], site.served())
    refused = site.run("refresh", *TEACHES_NOTHING, exit_code=3)
    newest = site.aliases()["challenger"]
    assert refused.status == "refused"
    assert f"{NAME} version {newest}: accuracy" in refused.reason
    assert (site.aliases()["champion"], site.served()) == before
    still = site.run("refresh", *TEACHES_NOTHING)
    assert (still.status, f"still {NAME} version {newest}" in still.reason) == ("nothing_new", True)


def test_a_version_that_the_server_answers_otherwise_is_taken_back(site, tmp_path):
    champion, served, encoder = site.aliases()["champion"], site.served(), site.aliases(ENCODER)
    site.add_text("third.txt")
    number = max(served) + 1
    save_keyword(tmp_path / NAME / str(number), "nothing like it")
    with serve(tmp_path / NAME, log_dir=tmp_path) as (url, _):
        site.configure(server_url=url)
        back = site.run("refresh", exit_code=3)
    site.configure()
    assert back.status == "rolled_back"
    assert "the server must answer as the SavedModel does" in back.reason
    assert (site.aliases()["champion"], site.served()) == (champion, served)
    assert site.aliases(ENCODER)["champion"] == encoder["champion"]
    assert "continue_pretraining" in {
        name for name, status in statuses(back).items() if status == "done"
    }
