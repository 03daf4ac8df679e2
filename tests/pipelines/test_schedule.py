"""Flows as Dagster's assets: done, reused, gone on with; the sensor on new data."""

from pathlib import Path

import pytest

from bert_tf.config import validate_config
from pipelines.engine import history
from tests.pipelines.small_flow import FLOW

dg = pytest.importorskip("dagster", reason="the extra `orchestrate` is not installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "input.txt").write_text("good day")
    return tmp_path / "data"


@pytest.fixture
def definitions(folder: Path):
    from pipelines.schedule.definitions import make_definitions

    config = validate_config(
        {
            "corpus": {"paths": [str(folder)]},
            "tracking": {"enabled": False},
            "flow": {"min_free_disk_gb": 0.0, "cron": "30 2 * * *", "time_zone": "Asia/Seoul"},
        }
    )
    return make_definitions(FLOW, config, folder.parent / "out")


def steps_of(result) -> dict[str, str]:
    """Asset -> what became of it."""
    made = [event.step_materialization_data for event in result.get_asset_materialization_events()]
    return {
        data.materialization.asset_key.to_user_string(): data.materialization.metadata[
            "status"
        ].value
        for data in made
    }


def run(definitions, **options):
    job = definitions.resolve_job_def("small")
    return job.execute_in_process(raise_on_error=False, **options)


def test_assets_are_done_once_and_reused(definitions, folder):
    first = run(definitions)
    assert first.success
    assert steps_of(first) == {"copy": "done", "shout": "done", "tell": "done"}
    assert steps_of(run(definitions)) == {"copy": "reused", "shout": "reused", "tell": "reused"}
    past = history.read_history(folder.parent / "out" / "small")
    assert [record.status for record in past] == ["done", "nothing_new"]


def test_a_failed_run_goes_on_at_the_failed_asset(definitions, folder):
    (folder / "shout.do").write_text("raise ValueError('too loud')")
    with dg.DagsterInstance.ephemeral() as instance:
        failed = run(definitions, instance=instance)
        assert not failed.success
        assert steps_of(failed) == {"copy": "done"}
        (folder / "shout.do").unlink()
        rest = [dg.AssetKey("shout"), dg.AssetKey("tell")]
        again = run(definitions, instance=instance, asset_selection=rest)
    assert steps_of(again) == {"shout": "done", "tell": "done"}
    assert (folder / "calls.txt").read_text().split() == ["copy", "shout", "shout", "tell"]
    (record, last) = history.read_history(folder.parent / "out" / "small")
    assert record.reason == "shout: too loud"
    assert last.status == "done"


def test_what_is_not_reached_is_not_made(definitions, folder):
    (folder / "shout.do").write_text(
        "from pipelines.engine.step import Stop; stop = Stop('refused', 'not loud enough')"
    )
    result = run(definitions)
    assert result.success
    assert steps_of(result) == {"copy": "done", "shout": "done"}
    assert steps_of(run(definitions)) == {"copy": "reused", "shout": "reused"}
    past = history.read_history(folder.parent / "out" / "small")
    assert [record.status for record in past] == ["refused", "nothing_new"]


def test_a_flow_that_is_under_way_is_not_started_again(definitions, folder):
    from bert_tf.system.folder_lock import lock_folder

    with lock_folder(folder.parent / "out" / "small", command="somebody"):
        result = run(definitions)
    assert not result.success
    assert not (folder / "calls.txt").exists()


def test_the_schedule_has_the_times_of_the_configuration(definitions):
    (schedule,) = definitions.schedules
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 2 * * *", "Asia/Seoul")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_run_that_is_under_way_is_not_followed_by_those_it_missed(definitions):
    (schedule,), (sensor,) = definitions.schedules, definitions.sensors
    job = definitions.resolve_job_def("small")
    with dg.DagsterInstance.local_temp() as instance:
        free = dg.build_schedule_context(instance=instance)
        assert isinstance(schedule(free), dg.RunRequest)
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        assert schedule(free) == dg.SkipReason("a run is under way")
        (answer,) = sensor(dg.build_sensor_context(instance=instance))
        assert answer.skip_message == "files have changed, and a run is under way: after it"


def test_new_data_starts_a_run_once_it_is_left_alone(definitions, folder):
    (sensor,) = definitions.sensors
    cursor = None

    def look() -> list[str]:
        nonlocal cursor
        context = dg.build_sensor_context(cursor=cursor, instance=instance)
        answers = [type(answer).__name__ for answer in sensor(context)]
        cursor = context.cursor
        return answers

    with dg.DagsterInstance.ephemeral() as instance:
        assert [look() for _ in range(3)] == [["SkipReason"], ["RunRequest"], ["SkipReason"]]
        (folder / "input.txt").write_text("good")
        assert look() == ["SkipReason"]
        (folder / "input.txt").write_text("good night")  # it is being written still
        assert look() == ["SkipReason"]
        assert look() == ["RunRequest"]
        assert look() == ["SkipReason"]


def test_the_shipped_settings_are_valid_and_call_nobody(tmp_path, monkeypatch):
    from pipelines.schedule.daemon import prepare_home

    home = prepare_home("refresh", validate_config({}), tmp_path)["DAGSTER_HOME"]
    monkeypatch.setenv("DAGSTER_HOME", home)
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1
        assert Path(instance.root_directory) == Path(home)
