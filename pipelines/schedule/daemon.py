"""Starts Dagster's programs for one flow: its daemon, by cron and on new data, and its web page.

The daemon keeps its runs in SQLite files below OUTPUT_DIR/dagster and listens on no port. The web
page reads the same files.
"""

import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from bert_tf.config import Config
from bert_tf.system.files import write_whole
from bert_tf.system.folder_lock import lock_folder
from bert_tf.system.signals import noted_signals
from pipelines.engine.processes import end, python_path
from pipelines.flows import find_flow

log = logging.getLogger(__name__)

_SETTINGS = Path(__file__).with_name("dagster.yaml")
# Dagster looks in the working directory first, where a user may have a folder `pipelines`.
_DEFINITIONS = ("-m", "pipelines.schedule.definitions", "-d", str(Path(__file__).parents[2]))
_POLL_SECONDS = 0.5
_STOP_SECONDS = 60.0


def run_daemon(flow_name: str, config: Config, output_dir: str | Path) -> int:
    """Until SIGTERM or SIGINT; the exit code.

    Raises:
        ImportError: Dagster is not installed.
        ValueError: there is no such flow, or a daemon runs in `output_dir` already.
    """
    environment = prepare_home(flow_name, config, output_dir)
    with lock_folder(environment["DAGSTER_HOME"], command="bert-tf pipeline schedule"):
        _end_lost_runs(environment)
        log.info("%s: %s (%s), and on new data", flow_name, config.flow.cron, config.flow.time_zone)
        return _run(["dagster-daemon", "run", *_DEFINITIONS], environment)


def run_web_page(flow_name: str, config: Config, output_dir: str | Path, *, port: int) -> int:
    """Dagster's web page on loopback, until SIGTERM or SIGINT; the exit code.

    Raises:
        ImportError: Dagster or its web server is not installed.
    """
    environment = prepare_home(flow_name, config, output_dir)
    if importlib.util.find_spec("dagster_webserver") is None:
        raise ImportError(
            "The web page needs dagster-webserver. Received: it is not installed. "
            "`make pipelines-ui` installs it."
        )
    log.info("http://127.0.0.1:%d", port)
    command = ["dagster-webserver", *_DEFINITIONS, "-h", "127.0.0.1", "-p", str(port)]
    return _run(command, environment)


def prepare_home(flow_name: str, config: Config, output_dir: str | Path) -> dict[str, str]:
    """Dagster's folder, and the environment in which its programs find it and the flow."""
    import yaml

    from pipelines.schedule import environment as names

    if importlib.util.find_spec("dagster") is None:
        raise ImportError(
            "A schedule needs Dagster. Received: it is not installed. "
            "Install it with pip install 'bert-tf[orchestrate]'; without it, cron may call "
            "`bert-tf pipeline run`."
        )
    find_flow(flow_name, config)
    output_dir = Path(output_dir).absolute()
    home = output_dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").is_file():  # it may have been edited
        shutil.copyfile(_SETTINGS, home / "dagster.yaml")
    config_path = home / "flow.yaml"
    values = config.model_dump(mode="json", exclude_unset=True)
    write_whole(config_path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return {
        **os.environ,
        "DAGSTER_HOME": str(home),
        names.FLOW: flow_name,
        names.CONFIG: str(config_path),
        names.OUTPUT_DIR: str(output_dir),
        **python_path(),
    }


def _end_lost_runs(environment: dict[str, str]) -> None:
    """Runs that a power cut or a kill ended: they would hold up the queue for ever."""
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    begun = [DagsterRunStatus[name] for name in ("STARTING", "STARTED", "CANCELING")]
    with DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        for run in instance.get_runs(RunsFilter(statuses=begun)):
            instance.report_run_failed(run, "The daemon that had started it is gone.")
            log.warning("Dagster's run %s had been left: it counts as failed", run.run_id)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """One of Dagster's programs, in a process group that ends with it."""
    program = str(Path(sys.executable).with_name(command[0]))
    with noted_signals() as received:
        process = subprocess.Popen([program, *command[1:]], env=environment, start_new_session=True)
        try:
            while process.poll() is None and not received:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
            return 0 if received else int(process.returncode)
        finally:
            end(process, grace_seconds=_STOP_SECONDS, by=signal.SIGINT)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
