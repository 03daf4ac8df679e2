"""The life of a flow on models as small as can be: first run, nothing new, new text, refused."""

from pathlib import Path

import pytest

from tests.pipelines.site import (
    DEAD_SERVER,
    NAME,
    TEACHES_NOTHING,
    Site,
    run_steps_in_this_process,
    statuses,
)

ENCODER = f"{NAME}-encoder"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", site.uri)
    monkeypatch.chdir(tmp_path)
    run_steps_in_this_process(monkeypatch)
    return site


@pytest.mark.timeout(1200)  # a minute on an idle machine
def test_refresh_takes_what_is_new_goes_on_where_it_failed_and_refuses_what_is_worse(site):
    site.add_text("first.txt")
    site.add_labels("first.tsv")
    site.configure(serving_dir=None)
    site.run("pretraining")
    assert site.aliases(ENCODER) == {"champion": 1}

    first = site.run("refresh")
    assert (first.status, first.model) == ("done", f"{NAME} version 1")
    assert statuses(first)["continue_pretraining"] == "skipped"
    assert site.run("refresh").status == "nothing_new"

    # New text, while the server is dead: all is done but to ask it, and that comes next time.
    site.add_text("second.txt")
    site.configure(server_url=DEAD_SERVER, server_timeout_seconds=1.0)
    failed = site.run("refresh", exit_code=1)
    made = statuses(failed)
    assert {name for name, status in made.items() if status == "failed"} == {"smoke_test"}
    assert made["export_encoder"] == made["finetune"] == "done"
    assert site.aliases(ENCODER)["champion"] == 2
    site.configure()
    resumed = site.run("refresh")
    assert (resumed.status, resumed.model) == ("done", f"{NAME} version 2")
    assert {name for name, status in statuses(resumed).items() if status == "reused"} >= {
        *("labelled", "finetune", "evaluate", "export", "register", "gate")
    }
    assert site.served() == {1: 2}

    refused = site.run("refresh", *TEACHES_NOTHING, exit_code=3)
    assert refused.status == "refused"
    assert f"{NAME} version 3: accuracy" in refused.reason
    assert site.aliases()["champion"] == 2
    assert site.served() == {1: 2}
