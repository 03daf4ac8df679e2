"""`make demo`: raw text to a served classifier, on text that every installation has.

    documentation of installed packages -> corpus, labelled texts
    corpus -> vocabulary -> records -> pretrained encoder
    labelled texts -> classifier on that encoder, and the same classifier from scratch
    the first of them -> registry -> gate -> serving directory -> answers over REST and gRPC
    everything -> report.md with pictures

A flow as any other (see `flows`), with texts of its own. Run again, it reuses each step whose
inputs have not changed.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from bert_tf.cli.process import CheckedCommand, fail, set_up_process, tracking_uri
from bert_tf.cli.stage import config_option, load_config_or_exit, set_option
from bert_tf.config import Config
from bert_tf.system.signals import noted_signals
from pipelines import flows
from pipelines.demo.documentation_sources import DEFAULT_PACKAGES, package_version
from pipelines.demo.steps import answers, export_from_scratch, finetune_from_scratch, text
from pipelines.engine.attempts import InterruptedFlowError, StepError
from pipelines.engine.display import FlowDisplay
from pipelines.engine.history import RunRecord
from pipelines.engine.runner import open_run
from pipelines.engine.step import Context, Flow, Step
from pipelines.report.flow_report import write_flow_report
from pipelines.steps import training

FOLDER = Path(__file__).parent
CONFIG_PATH = FOLDER.parent / "configs" / "demo.yaml"
MODEL_NAME = "documentation"
_TEXT_FILES = ("corpus.txt", "train.tsv", "eval.tsv")


def _package_versions(_context: Context) -> dict[str, str]:
    return {package.label: package_version(package) for package in DEFAULT_PACKAGES}


TEXT = Step(
    name="text",
    work=text,
    files=lambda config: sorted(FOLDER.glob("documentation_*.py")),
    world=_package_versions,
    result=_TEXT_FILES,
)
FROM_SCRATCH = dataclasses.replace(
    flows.FINETUNE, name="finetune_from_scratch", work=finetune_from_scratch
)
EXPORT_FROM_SCRATCH = dataclasses.replace(
    flows.EXPORT,
    name="export_from_scratch",
    work=export_from_scratch,
    after=(FROM_SCRATCH.name,),
    disk_bytes=lambda context: training.export_bytes(context, model=FROM_SCRATCH.name),
)
ANSWERS = Step(
    name="answers",
    work=answers,
    after=("publish", "text", "export_from_scratch"),
    files=lambda config: [FOLDER / "questions.py"],
)
FLOW = Flow(
    "demo",
    "documentation of installed packages becomes a served classifier of it",
    (
        *(TEXT, flows.INGEST, flows.VOCABULARY, flows.PREPARE, flows.PRETRAIN),
        *(flows.FINETUNE, FROM_SCRATCH, flows.EVALUATE, flows.EXPORT, EXPORT_FROM_SCRATCH),
        *(flows.REGISTER, flows.GATE, flows.PUBLISH, ANSWERS),
    ),
    flows.IMPORTS,
)


@click.command(cls=CheckedCommand, help=f"{__doc__}".replace("\n\n", "\n\n\b\n"))
@config_option
@set_option
@click.option("--output-dir", type=click.Path(), default="runs/demo", show_default=True)
def main(config_path: str | None, overrides: tuple[str, ...], output_dir: str) -> None:
    """Command line of the demo; `--config` stands in the place of `CONFIG_PATH`."""
    set_up_process()
    config = load_config_or_exit(config_path or str(CONFIG_PATH), overrides)
    folder = Path(output_dir).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    with noted_signals() as received:
        try:
            with FlowDisplay(is_terminal=sys.stderr.isatty()) as display:
                run_demo(
                    config,
                    folder,
                    is_stop_requested=lambda: bool(received),
                    on_change=display.update,
                )
        except StepError as error:
            fail(error, code=1)
        except InterruptedFlowError:
            print("Stopped. Run the same command to go on.", file=sys.stderr)
            raise SystemExit(128 + received[0]) from None


def run_demo(config: Config, output_dir: Path, **options: Any) -> RunRecord:
    """All steps in order, and `report.md`; `options` as of `open_run`."""
    from pipelines.demo.report import write_report

    started_at = time.monotonic()
    with open_run(
        FLOW,
        _with_places(config, output_dir),
        output_dir,
        tracking_uri=tracking_uri(),
        command="make",
        write_report=write_flow_report,
        **options,
    ) as run:
        for step in FLOW.steps:
            run.do(step)
        report = write_report(run, output_dir)
    record = run.record
    num_reused = sum(step.status == "reused" for step in record.steps)
    print(report.read_text(encoding="utf-8"))
    print(
        f"{time.monotonic() - started_at:.0f} s; {num_reused} of {len(record.steps)} steps reused. "
        f"Report with pictures: {report}"
    )
    return record


def _with_places(config: Config, output_dir: Path) -> Config:
    """The configuration with the demo's own files in it."""
    corpus, train, evaluation = (
        str(output_dir / FLOW.name / "steps" / TEXT.name / name) for name in _TEXT_FILES
    )
    places: dict[str, dict[str, Any]] = {
        "corpus": {"paths": (corpus,)},
        "finetuning": {"train_path": train, "eval_path": evaluation},
        "flow": {"model_name": MODEL_NAME, "serving_dir": str(output_dir / "serving")},
    }
    return config.model_copy(
        update={
            name: getattr(config, name).model_copy(update=values) for name, values in places.items()
        }
    )


if __name__ == "__main__":
    main()
