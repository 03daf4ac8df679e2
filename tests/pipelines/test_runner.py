"""Running flows: what is reused, gone on with, tried again, timed out, locked, and written down."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from bert_tf.cli.main import main
from bert_tf.config import Config, validate_config
from pipelines.engine import history
from pipelines.engine.attempts import InterruptedFlowError, StepError
from pipelines.engine.display import FlowDisplay
from pipelines.engine.runner import run_flow
from pipelines.engine.step import Flow, Step
from pipelines.engine.step_state import result_digest
from pipelines.flows import FLOWS
from pipelines.report.flow_report import write_flow_report
from pipelines.steps.training import TOKENIZER_FILES
from tests.mlflow_stores import make_database, wait_for
from tests.pipelines.small_flow import FLOW, SHOUT, shout

ROOT = Path(__file__).parents[2]
RUN = """
import signal, sys
from bert_tf.config import load_config
from bert_tf.cli.process import set_up_process
from pipelines.engine.runner import run_flow
from tests.pipelines.small_flow import FLOW
set_up_process()
run_flow(FLOW, load_config(sys.argv[1]), sys.argv[2], tracking_uri="sqlite:///none.db")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    (path / "input.txt").write_text("good day")
    return path


def configure(folder: Path, **flow: object) -> Config:
    values = {"backoff_seconds": 0.1, "min_free_disk_gb": 0.0} | flow
    return validate_config(
        {
            "corpus": {"paths": [str(folder)]},
            "seed": values.pop("seed", 1),
            "tracking": {"enabled": False},
            "flow": values,
        }
    )


def run(folder: Path, flow: Flow = FLOW, uri: str = "sqlite:///none.db", **options: object):
    return run_flow(flow, configure(folder, **options), folder.parent / "out", tracking_uri=uri)


def calls(folder: Path) -> list[str]:
    """The steps that worked since the last question."""
    path = folder / "calls.txt"
    names = path.read_text().split() if path.is_file() else []
    path.unlink(missing_ok=True)
    return names


def statuses(record: history.RunRecord) -> list[str]:
    return [step.status for step in record.steps]


def test_only_what_has_changed_is_done_again(folder):
    first = run(folder)
    assert (first.status, calls(folder)) == ("done", ["copy", "shout", "tell"])
    again = run(folder)
    assert (again.status, calls(folder)) == ("nothing_new", [])
    assert statuses(again) == ["reused"] * 3
    (folder / "input.txt").write_text("good night")
    assert run(folder).status == "done"
    assert calls(folder) == ["copy", "shout", "tell"]
    told = folder.parent / "out" / "small" / "steps" / "tell" / "told.json"
    assert json.loads(told.read_text()) == "GOOD NIGHT"


def test_a_step_whose_result_stays_the_same_changes_nothing_after_it(folder):
    run(folder)
    calls(folder)
    (folder / "input.txt").write_text("good day  ")  # `copy` strips it
    record = run(folder)
    assert statuses(record) == ["done", "reused", "reused"]
    assert calls(folder) == ["copy"]


def test_a_setting_concerns_the_steps_that_read_it(folder):
    run(folder)
    calls(folder)
    assert statuses(run(folder, seed=2)) == ["reused", "done", "reused"]
    record = run(folder, seed=99)
    assert statuses(record) == ["reused", "done", "skipped"]
    assert record.step("tell").reason == "nothing to tell"


def test_a_failed_flow_goes_on_at_the_failed_step(folder):
    (folder / "shout.do").write_text("raise ValueError('too loud')")
    with pytest.raises(StepError, match="shout: too loud"):
        run(folder)
    assert calls(folder) == ["copy", "shout"]  # what is no passing trouble is not tried again
    (failed,) = history.read_history(folder.parent / "out" / "small")
    assert (failed.status, failed.reason) == ("failed", "shout: too loud")
    assert statuses(failed) == ["done", "failed", "not reached"]
    (folder / "shout.do").unlink()
    assert statuses(run(folder)) == ["reused", "done", "done"]
    assert calls(folder) == ["shout", "tell"]


def test_changed_code_does_a_step_again(folder, monkeypatch):
    run(folder)
    calls(folder)
    monkeypatch.setattr("pipelines.engine.step_state._code", lambda module: "another version")
    assert statuses(run(folder)) == ["done", "done", "done"]


def test_an_interrupted_step_finds_its_folder_as_it_left_it(folder):
    (folder / "shout.do").write_text(
        "half = context.directory / 'half'\n"
        "if not half.exists():\n"
        "    half.write_text('done')\n"
        "    raise ValueError('cut off')"
    )
    with pytest.raises(StepError, match="cut off"):
        run(folder)
    assert statuses(run(folder)) == ["reused", "done", "done"]
    half = folder.parent / "out" / "small" / "steps" / "shout" / "half"
    assert half.exists()
    with pytest.raises(StepError, match="cut off"):  # for another fingerprint it is empty again
        run(folder, seed=2)


def test_what_may_pass_is_tried_again(folder):
    (folder / "shout.do").write_text(
        "tries = (folder / 'calls.txt').read_text().count('shout')\n"
        "if tries < 3: raise ConnectionError('nobody there')"
    )
    record = run(folder)
    assert record.status == "done"
    assert calls(folder) == ["copy", "shout", "shout", "shout", "tell"]
    (folder / "shout.do").write_text("raise ConnectionError('nobody there')")
    with pytest.raises(StepError, match="nobody there"):
        run(folder, seed=2, max_attempts=2)
    assert calls(folder) == ["shout", "shout"]


def test_what_the_world_is_asked_may_pass_too(folder):
    asked = []

    def world(context: object) -> int:
        asked.append(1)
        if len(asked) < 3:
            raise ConnectionError("no registry")
        return 7

    flow = Flow("small", "one step", (Step(name="copy", work=FLOW.steps[0].work, world=world),))
    assert run(folder, flow).status == "done"
    assert len(asked) == 3


def test_a_step_has_a_limit_of_time(folder):
    (folder / "shout.do").write_text("import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(StepError, match=r"must end within 0.05 minutes \(flow.timeout_minutes"):
        run(folder, timeout_minutes={"shout": 0.05})
    assert time.monotonic() - began < 30


def test_a_process_that_is_killed_is_a_failure_and_leaves_nothing_running(folder):
    (folder / "shout.do").write_text(
        "import os, signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
        "(folder / 'child').write_text(str(child.pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(StepError, match="its process was killed; out of memory, perhaps"):
        run(folder)
    wait_for(lambda: not is_running(int((folder / "child").read_text())))


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_word_to_stop_leaves_the_rest(folder):
    (folder / "shout.do").write_text(
        "from pipelines.engine.step import Stop; stop = Stop('refused', 'not loud enough')"
    )
    record = run(folder)
    assert (record.status, record.reason) == ("refused", "not loud enough")
    assert statuses(record) == ["done", "done", "not reached"]
    again = run(folder)
    assert again.status == "nothing_new"
    assert again.reason.endswith("still not loud enough")
    assert calls(folder) == ["copy", "shout"]


def test_the_disk_is_looked_at_before_a_step(folder):
    with pytest.raises(StepError, match=r"copy: .* GB must be free.*Free some"):
        run(folder, min_free_disk_gb=1e6)
    assert calls(folder) == []


def test_until_a_step(folder):
    record = run_flow(
        FLOW, configure(folder), folder.parent / "out", until="copy", tracking_uri="sqlite:///x"
    )
    assert (record.status, statuses(record)) == ("done", ["done", "not reached", "not reached"])


def test_a_stop_ends_the_step_and_the_next_run_goes_on(folder):
    (folder / "shout.do").write_text("import time; time.sleep(60)")

    with pytest.raises(InterruptedFlowError):
        run_flow(
            FLOW,
            configure(folder),
            folder.parent / "out",
            tracking_uri="sqlite:///x",
            is_stop_requested=lambda: (
                "shout" in (folder / "calls.txt").read_text()
                if (folder / "calls.txt").is_file()
                else False
            ),
        )
    (stopped,) = history.read_history(folder.parent / "out" / "small")
    assert statuses(stopped) == ["done", "interrupted", "not reached"]
    (folder / "shout.do").unlink()
    assert run(folder).status == "done"


def start(folder: Path) -> subprocess.Popen[bytes]:
    from bert_tf.config import write_config

    config = write_config(configure(folder), folder)
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(config), str(folder.parent / "out")], cwd=ROOT
    )


def test_kill_9_frees_the_lock_is_in_the_history_and_gone_on_from(folder):
    (folder / "shout.do").write_text("import time; time.sleep(100)")
    process = start(folder)
    wait_for(
        lambda: (
            "shout"
            in ((folder / "calls.txt").read_text() if (folder / "calls.txt").is_file() else "")
        )
    )
    with pytest.raises(ValueError, match=rf"small` \(process {process.pid} on"):
        run(folder)
    flow_dir = folder.parent / "out" / "small"
    assert history.read_state(flow_dir).status == "running"
    asked = ["pipeline", "status", "--output-dir", str(flow_dir.parent)]
    assert f"(process {process.pid} on" in CliRunner().invoke(main, asked).output
    process.send_signal(signal.SIGKILL)
    process.wait()
    # The step's process ends by itself, and only then is the folder free.
    wait_for(lambda: history.read_state(flow_dir).status == "killed")
    (folder / "shout.do").unlink()
    assert statuses(run(folder)) == ["reused", "done", "done"]
    killed, done = history.read_history(flow_dir)
    assert (killed.status, killed.reason) == ("killed", "killed at shout")
    assert statuses(killed) == ["done", "interrupted", "waiting"]
    assert done.status == "done"


def test_secrets_of_the_environment_are_nowhere(folder, monkeypatch, tmp_path):
    uri = make_database(tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "open-sesame")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abracadabra")
    (folder / "shout.do").write_text(
        "import os\n"
        "print('key', os.environ['AWS_SECRET_ACCESS_KEY'])\n"
        "raise ValueError('no entry with ' + os.environ['MLFLOW_TRACKING_PASSWORD']\n"
        "    + ' at http://me:knock-knock@host:5000')"
    )
    config = configure(folder).model_copy(update={"tracking": validate_config({}).tracking})
    with pytest.raises(StepError) as failure:
        run_flow(FLOW, config, tmp_path / "out", tracking_uri=uri)
    assert "***" in str(failure.value)
    texts = [str(failure.value).encode()]
    texts += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    texts += [p.read_bytes() for p in Path("mlruns").rglob("*") if p.is_file()]
    said = b"\n".join(text for text in texts if b"os.environ['AWS" not in text)
    assert b"no entry with ***" in said
    for secret in (b"open-sesame", b"abracadabra", b"knock-knock"):
        assert secret not in said


def test_a_page_about_the_run_is_written_and_sent(folder, tmp_path):
    from mlflow import MlflowClient

    uri = make_database(tmp_path / "mlflow.db")
    config = configure(folder).model_copy(update={"tracking": validate_config({}).tracking})
    os.chdir(tmp_path)
    options = {"tracking_uri": uri, "write_report": write_flow_report}
    record = run_flow(FLOW, config, tmp_path / "out", **options)
    page = Path(record.report)
    text = page.read_text(encoding="utf-8")
    assert "# small: done" in text
    assert "| shout | done |" in text
    assert page.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    client = MlflowClient(uri)
    (sent,) = client.search_runs([client.get_experiment_by_name("bert_tf").experiment_id])
    names = {artifact.path for artifact in client.list_artifacts(sent.info.run_id)}
    assert {"report.md", "report.png"} <= names
    assert sent.data.tags["flow.status"] == "done"


def test_the_command_says_what_it_did_and_how_it_ended(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(FLOWS, "small", FLOW)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    settings = [f"corpus.paths=[{folder}]", "tracking.enabled=false", "flow.min_free_disk_gb=0"]
    asked = ["pipeline", "run", "small", "--output-dir", str(tmp_path / "out")]
    asked += [word for setting in settings for word in ("--set", setting)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("small: done")
    assert "✓ shout" in done.stdout
    nothing = CliRunner().invoke(main, [*asked, "--json"])
    assert json.loads(nothing.stdout)["status"] == "nothing_new"
    (folder / "shout.do").write_text(
        "from pipelines.engine.step import Stop; stop = Stop('refused', 'not loud enough')"
    )
    refused = CliRunner().invoke(main, [*asked, "--set", "seed=2"])
    assert refused.exit_code == 3
    assert "not loud enough" in refused.stdout
    (folder / "shout.do").write_text("raise ValueError('too loud')")
    failed = CliRunner().invoke(main, [*asked, "--set", "seed=3"])
    assert failed.exit_code == 1
    assert "Error: shout: too loud" in failed.stderr
    unknown = CliRunner().invoke(main, [*asked, "--until", "sing"])
    assert unknown.exit_code == 1
    assert "must be one of copy, shout, tell" in unknown.stderr


def test_a_terminal_shows_the_steps_as_they_are():
    steps = [
        history.StepRecord("copy", "done", seconds=61.0),
        history.StepRecord("shout", "running"),
        history.StepRecord("tell"),
    ]
    record = history.RunRecord("small", "1", history.now(), steps)
    display = FlowDisplay(is_terminal=True)
    display.update(record, "")
    display.update(record, "shout: 3 of 9, loss 1.2, 0:10 left")
    console = Console(file=io.StringIO(), width=100)
    console.print(display._table())
    shown = console.file.getvalue().splitlines()
    assert [line.split()[:3] for line in shown if "copy" in line or "tell" in line] == [
        ["✓", "copy", "done"],
        ["tell", "waiting"],
    ]
    (running,) = (line for line in shown if "running" in line)
    assert "shout: 3 of 9, loss 1.2, 0:10 left" in running
    assert "1:01" in shown[3]


def test_status_and_history_of_the_command_line(folder, tmp_path):
    run(folder)
    (folder / "shout.do").write_text("raise ValueError('too loud')")
    with pytest.raises(StepError):
        run(folder, seed=2)
    asked = ["--output-dir", str(tmp_path / "out")]
    status = CliRunner().invoke(main, ["pipeline", "status", *asked])
    assert status.exit_code == 0
    assert "small: failed" in status.output
    assert "too loud" in status.output
    lines = CliRunner().invoke(main, ["pipeline", "history", *asked]).output.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["done", "failed"]
    as_json = CliRunner().invoke(main, ["pipeline", "history", "--json", "--limit", "1", *asked])
    assert json.loads(as_json.output)["steps"][1]["status"] == "failed"
    nothing = CliRunner().invoke(main, ["pipeline", "status", "--output-dir", str(folder)])
    assert nothing.exit_code == 1
    assert "must be the --output-dir of" in nothing.output


def test_an_unknown_flow_is_named_with_those_there_are(tmp_path):
    result = CliRunner().invoke(main, ["pipeline", "run", "refrsh", "--output-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "pretraining, finetuning, domain_adaptation, refresh" in result.output


def test_a_limit_for_a_step_that_no_flow_has_is_refused(tmp_path):
    asked = ["--output-dir", str(tmp_path), "--set", "flow.timeout_minutes={pretrian: 5}"]
    result = CliRunner().invoke(main, ["pipeline", "run", "refresh", *asked])
    assert result.exit_code == 1
    assert "Received: pretrian" in result.stderr


def test_work_must_be_found_by_another_process(folder):
    flow = Flow("small", "one step", (Step(name="copy", work=lambda context: None),))
    with pytest.raises(TypeError, match="must be a function of a module"):
        run(folder, flow)
    assert SHOUT.work is shout


def test_of_two_kinds_of_vocabularies_the_one_that_is_there_counts(tmp_path: Path):
    step = Step(name="vocabulary", work=shout, result=TOKENIZER_FILES)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"vocab\.txt"):
        result_digest(step, tmp_path, "mark")
    digests = set()
    for name, content in (("spm.model", "a"), ("spm.model", "b"), ("vocab.txt", "b")):
        (tmp_path / name).write_text(content)
        digests.add(result_digest(step, tmp_path, "mark"))
    assert len(digests) == 3
    (tmp_path / "spm.model").unlink()
    assert result_digest(step, tmp_path, "mark") in digests
