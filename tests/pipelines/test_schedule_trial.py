"""A schedule left running: a kill, new text, a damaged file, a dead server, nothing new.

Everything is real: Dagster's daemon with a run each minute and a look for new data each minute, an
MLflow server with an artifact proxy, the local server behind the smoke test. At the end registry,
serving folder and history must tell one story. Takes some minutes, most of them waiting.
"""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from bert_tf import registry
from pipelines.engine import history
from tests.mlflow_stores import free_port, running_server
from tests.pipelines.site import NAME, Site, statuses, step_processes

dg = pytest.importorskip("dagster", reason="the extra `orchestrate` is not installed")
pytestmark = [pytest.mark.flows, pytest.mark.timeout(2400)]

ENCODER = f"{NAME}-encoder"


class ScheduledSite(Site):
    """One whose flow runs by a schedule, at a registry on a server."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.database, self.port = self.uri, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.server = contextlib.ExitStack()

    def start_server(self) -> None:
        artifacts = self.folder / "artifacts"
        self.server.enter_context(
            running_server(self.database, artifacts=artifacts, port=self.port)
        )

    @contextlib.contextmanager
    def schedule(self) -> Iterator[None]:
        """The daemon, which ends well when it is told to."""
        places = ["--config", str(self.config), "--output-dir", str(self.out)]
        process = self.start("pipeline", "schedule", "refresh", *places)
        try:
            yield
            assert process.poll() is None, self.told()
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0

    def wait_for_run(
        self, is_it: Callable[[history.RunRecord], bool], *, after: int = 0
    ) -> history.RunRecord:
        """The first such run in the history past its first `after` ones."""
        end = time.monotonic() + 600
        while time.monotonic() < end:
            for run in self.runs()[after:]:
                if is_it(run):
                    return run
            time.sleep(0.5)
        past = [(run.status, run.reason) for run in self.runs()]
        raise AssertionError(f"waited too long. The history: {past}\n{self.told()}")

    def launched_by(self) -> set[str]:
        """What has started runs: `schedule_name`, `sensor_name`."""
        with dg.DagsterInstance.from_config(str(self.out / "dagster")) as instance:
            tags = {tag for run in instance.get_runs() for tag in run.tags}
        return {name for name in ("schedule_name", "sensor_name") if f"dagster/{name}" in tags}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ScheduledSite]:
    site = ScheduledSite(tmp_path)
    site.add_text("first.txt")
    site.add_labels("first.tsv")
    site.configure(cron="* * * * *", backoff_seconds=1.0)
    with site.server:
        site.start_server()
        yield site
    assert not step_processes(site), "a step's process was left behind"


def test_registry_serving_folder_and_history_tell_one_story(site):
    assert site.start(*site.command("pretraining")).wait(600) == 0, site.told()
    with site.schedule():
        # kill -9 in the middle: Dagster starts it again, and it goes on.
        site.wait_for_step("evaluate").parent().kill()
        first = site.wait_for_run(is_done)
        assert site.runs()[0].reason == "killed at evaluate"
        assert statuses(first)["finetune"] == "reused"
        assert (first.model, site.served()) == (f"{NAME} version 1", {1: 1})

        # New text, a file that nobody can read, and the registry's server dies while it is needed.
        seen = len(site.runs())
        (site.corpus / "broken.txt").write_bytes(b"\x80\x81 broken\n")
        site.add_text("second.txt")
        site.wait_for_step("finetune")
        site.server.close()
        failed = site.wait_for_run(lambda run: run.status == "failed", after=seen)
        assert "the MLflow server must answer" in failed.reason
        site.start_server()
        second = site.wait_for_run(is_done, after=seen)
        assert statuses(second)["continue_pretraining"] == "reused"
        assert [Path(file["path"]).name for file in second.set_aside] == ["broken.txt"]

        # Nothing new: nothing is done, and the run says so.
        idle = site.wait_for_run(lambda run: run.status == "nothing_new", after=seen)
        assert "0 new documents" in idle.reason
        end = time.monotonic() + 300
        while site.launched_by() != {"schedule_name", "sensor_name"}:
            assert time.monotonic() < end, "the schedule and the sensor must both start runs"
            time.sleep(2)
    assert_one_story(site)


def is_done(run: history.RunRecord) -> bool:
    return run.status == "done"


def assert_one_story(site: ScheduledSite) -> None:
    versions = registry.list_versions(name=NAME, tracking_uri=site.uri)
    assert [version.version for version in versions] == [1, 2]
    assert site.aliases() == {"champion": 2, "previous": 1, "challenger": 2}
    assert site.aliases(ENCODER)["champion"] == 2
    assert site.served() == {1: 1, 2: 2}
    assert [version.tags["gate.has_passed"] for version in versions] == ["true", "true"]
    assert [version.tags["encoder.version"] for version in versions] == ["1", "2"]
    models = [run.model for run in site.runs() if run.status == "done"]
    assert models == [f"{NAME} version {number}" for number in (1, 2)]
    client = MlflowClient(site.uri)
    experiment = client.get_experiment_by_name("bert_tf")
    flows = client.search_runs([experiment.experiment_id], "tags.flow = 'refresh'")
    assert "done" in {run.data.tags["flow.status"] for run in flows}
    told = json.dumps([run.as_json() for run in site.runs()], ensure_ascii=False)
    assert "broken.txt" in told
