"""`bert-tf pipeline …`: flows of steps, from files that change to a served model."""

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bert_tf.cli.process import REFUSED, fail, tracking_uri
from bert_tf.cli.stage import configured
from bert_tf.system.lookalikes import path_hint
from bert_tf.system.signals import noted_signals

if TYPE_CHECKING:
    from bert_tf.config import Config
    from pipelines.engine.history import RunRecord

_output_dir = click.option(
    "--output-dir", required=True, type=click.Path(), help="Where all flows keep their steps."
)


@click.group()
def pipeline() -> None:
    """Run flows of steps: pretraining, finetuning, domain_adaptation, refresh.

    A step runs when what it reads has changed; a flow that failed goes on where it failed.
    """


@pipeline.command()
@click.argument("flow_name", metavar="FLOW")
@configured
@_output_dir
@click.option("--until", metavar="STEP", help="Stop after this step.")
@click.option("--json", "is_json", is_flag=True, help="What the run did, as JSON.")
def run(
    flow_name: str,
    config: "Config",
    output_dir: str,
    until: str | None,
    is_json: bool,
) -> None:
    """Run FLOW: what has changed is done, the rest reused.

    Exit code 0: done, or nothing is new. 1: a step failed; run it again to go on there. 3: the new
    version was refused or sent back, the one before stays.
    """
    with noted_signals() as received:
        from pipelines.engine import history
        from pipelines.engine.attempts import InterruptedFlowError, StepError
        from pipelines.engine.display import FlowDisplay, describe
        from pipelines.engine.runner import run_flow
        from pipelines.flows import find_flow
        from pipelines.report.flow_report import write_flow_report

        try:
            with FlowDisplay(is_terminal=sys.stderr.isatty()) as display:
                record = run_flow(
                    find_flow(flow_name, config),
                    config,
                    output_dir,
                    until=until,
                    tracking_uri=tracking_uri(),
                    is_stop_requested=lambda: bool(received),
                    on_change=display.update,
                    write_report=write_flow_report,
                )
        except StepError as error:
            fail(error, code=1)
        except InterruptedFlowError:
            click.echo("Stopped. Run the same command to go on.", err=True)
            raise SystemExit(128 + (received or [signal.SIGTERM])[0]) from None
        click.echo(
            json.dumps(record.as_json(), ensure_ascii=False) if is_json else describe(record)
        )
        if record.status in (history.REFUSED, history.ROLLED_BACK):
            raise SystemExit(REFUSED)


@pipeline.command()
@_output_dir
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
def status(output_dir: str, is_json: bool) -> None:
    """Show the newest run of each flow, step by step, and whether one is under way."""
    from bert_tf.system.folder_lock import holder_of
    from pipelines.engine import history
    from pipelines.engine.display import describe

    for folder in _flow_dirs(output_dir):
        if (newest := history.read_state(folder)) is None:
            continue
        if is_json:
            click.echo(json.dumps(newest.as_json(), ensure_ascii=False))
            continue
        click.echo(describe(newest))
        if holder := holder_of(folder):
            click.echo(f"  at work: {holder}")


@pipeline.command("history")
@_output_dir
@click.option("--flow", "flow_name", help="One flow alone.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
def history_(output_dir: str, flow_name: str | None, limit: int, is_json: bool) -> None:
    """List runs that have ended, the newest last."""
    from pipelines.engine import history

    runs = sorted(
        (
            run
            for folder in _flow_dirs(output_dir)
            if flow_name in (None, folder.name)
            for run in history.read_history(folder)
        ),
        key=lambda run: run.started_at,
    )
    for past in runs[-limit:]:
        click.echo(
            json.dumps(past.as_json(), ensure_ascii=False)
            if is_json
            else "\t".join(_make_row(past))
        )


@pipeline.command()
@click.argument("flow_name", metavar="FLOW", default="refresh")
@configured
@_output_dir
def schedule(flow_name: str, config: "Config", output_dir: str) -> None:
    """Run FLOW (default: refresh) at the times of `flow.cron`, and when new data is there.

    Dagster's daemon (extra `orchestrate`), on SQLite, without a listener; Ctrl+C ends it.
    """
    from pipelines.schedule.daemon import run_daemon

    raise SystemExit(run_daemon(flow_name, config, output_dir))


@pipeline.command()
@click.argument("flow_name", metavar="FLOW", default="refresh")
@configured
@_output_dir
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def ui(flow_name: str, config: "Config", output_dir: str, port: int) -> None:
    """Show the schedule's runs on a web page, on loopback; `make pipelines-ui` installs it."""
    from pipelines.schedule.daemon import run_web_page

    raise SystemExit(run_web_page(flow_name, config, output_dir, port=port))


def _make_row(run: "RunRecord") -> list[str]:
    seconds = f"{run.seconds:.0f} s"
    return [run.started_at, run.flow, run.status, seconds, run.model, run.reason]


def _flow_dirs(output_dir: str) -> list[Path]:
    """Raises FileNotFoundError where no flow ever ran."""
    found = sorted(path.parent for path in Path(output_dir).glob("*/state.json"))
    if not found:
        raise FileNotFoundError(
            f"{output_dir}: must be the --output-dir of `bert-tf pipeline run`. Received: a folder "
            "without a run. Give the folder that holds the flows, or run one first."
            f"{path_hint(output_dir)}"
        )
    return found
