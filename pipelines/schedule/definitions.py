"""Defines a flow as Dagster's assets and job, with the schedule and the sensor that start it.

An asset is a step. The step's fingerprint decides whether it has anything to do, as in any run.
Dagster adds when a flow is started, its pages, and going on at a failed asset.

Loaded by `dagster-daemon` and `dagster-webserver` (see `daemon`), which say in the environment
where the flow's configuration and folder are.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from bert_tf.cli.process import set_up_process, tracking_uri
from bert_tf.config import Config, load_config
from pipelines.engine.attempts import StepError
from pipelines.engine.history import StepRecord
from pipelines.engine.runner import FlowRun, open_run
from pipelines.engine.step import Flow, Step, names_in
from pipelines.flows import find_flow
from pipelines.report.flow_report import write_flow_report
from pipelines.schedule.environment import CONFIG, FLOW, OUTPUT_DIR

SENSOR_SECONDS = 75
"""No divisor or multiple of a minute: a schedule of every minute, which begins its runs at the same
second as the sensor looks, would always be under way then, and the sensor would start none."""


def make_definitions(flow: Flow, config: Config, output_dir: Path) -> dg.Definitions:
    """A flow's assets, its job, the schedule of `flow.cron` and the sensor on new data."""
    assets = [_make_asset(flow, number) for number in range(len(flow.steps))]
    job = dg.define_asset_job(
        flow.name,
        selection=dg.AssetSelection.assets(*assets),
        executor_def=dg.in_process_executor,  # a step has a process of its own anyhow
        description=flow.purpose,
    )

    @dg.resource(description="The run of the flow: it holds the flow's lock.")
    def flow_run(_context: dg.InitResourceContext) -> Iterator[FlowRun]:
        set_up_process()
        with (
            _failure_is_told(),
            open_run(
                flow,
                config,
                output_dir,
                tracking_uri=tracking_uri(),
                command="dagster",
                write_report=write_flow_report,
            ) as run,
        ):
            yield run

    return dg.Definitions(
        assets=assets,
        jobs=[job],
        schedules=[_make_schedule(flow, job, config)],
        sensors=[_make_sensor(flow, job, config)],
        resources={"flow_run": flow_run},
    )


def _make_asset(flow: Flow, number: int) -> dg.AssetsDefinition:
    step, earlier = flow.steps[number], flow.steps[:number]
    # What it reads, and the step before it: Dagster would take another order.
    before = names_in(step.after) | {other.name for other in earlier[-1:]}

    @dg.asset(
        name=step.name,
        group_name=flow.name,
        deps=[other.name for other in earlier if other.name in before],
        required_resource_keys={"flow_run"},
        output_required=False,  # a step that is not reached makes nothing
        description=step.work.__doc__,
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.Output]:
        run: FlowRun = context.resources.flow_run
        try:
            # Where Dagster goes on in the middle, the steps before are looked at here: they are
            # reused, unless something changed meanwhile.
            *_, record = [_done(run, other) for other in (*earlier, step)]
        except StepError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        context.log.info("%s: %s %s", step.name, record.status, record.reason)
        if record.status != "not reached":
            metadata = {"status": record.status, "seconds": record.seconds, "why": record.reason}
            yield dg.Output(None, metadata=metadata)

    return asset


def _done(run: FlowRun, step: Step) -> StepRecord:
    record = run.record.step(step.name)
    return run.do(step) if record.status == "waiting" else record


def _make_schedule(flow: Flow, job: Any, config: Config) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{flow.name}_schedule",
        job=job,
        cron_schedule=config.flow.cron,
        execution_timezone=config.flow.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def times(context: dg.ScheduleEvaluationContext) -> Any:
        """A run that takes longer than a period is not followed by those it missed."""
        if _is_under_way(context.instance, flow):
            return dg.SkipReason("a run is under way")
        return dg.RunRequest()

    return times


def _is_under_way(instance: dg.DagsterInstance, flow: Flow) -> bool:
    names = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
    statuses = [dg.DagsterRunStatus[name] for name in names]
    return instance.get_runs_count(dg.RunsFilter(job_name=flow.name, statuses=statuses)) > 0


def _make_sensor(flow: Flow, job: Any, config: Config) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{flow.name}_new_data",
        job=job,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_data(context: dg.SensorEvaluationContext) -> Iterator[Any]:
        """Files changed, and have been left alone since the last look."""
        cursor = json.loads(context.cursor or "{}")
        found = _listing(flow, config)
        if found == cursor.get("seen"):
            yield dg.SkipReason("no file has changed")
        elif _is_under_way(context.instance, flow):
            yield dg.SkipReason("files have changed, and a run is under way: after it")
        elif found == cursor.get("pending"):
            context.update_cursor(json.dumps({"seen": found}))
            yield dg.RunRequest(run_key=found)
        else:
            context.update_cursor(json.dumps(cursor | {"pending": found}))
            yield dg.SkipReason("files have changed: waiting until they are left alone")

    return new_data


def _listing(flow: Flow, config: Config) -> str:
    """Digest of names, sizes and times of all files that the flow's steps read."""
    files: set[Path] = set()
    for step in flow.steps:
        with contextlib.suppress(ValueError, OSError):  # the run will say so
            files |= set(step.files(config))
    lines = []
    for path in sorted(files):
        with contextlib.suppress(OSError):
            status = path.stat()
            lines.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextlib.contextmanager
def _failure_is_told() -> Iterator[None]:
    """Errors of a flow that cannot even begin, such as one under way elsewhere, as Dagster's."""
    try:
        yield
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _from_environment() -> dg.Definitions:
    config = load_config(os.environ[CONFIG])
    flow = find_flow(os.environ[FLOW], config)
    return make_definitions(flow, config, Path(os.environ[OUTPUT_DIR]))


if FLOW in os.environ:
    defs = _from_environment()
