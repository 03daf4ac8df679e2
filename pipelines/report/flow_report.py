"""Writes the page about one run of a flow: `report.md` with `report.png`, also in MLflow.

What ran, what was skipped and why, curves of training, metrics against the champion, the decision
and its reason, where the model is.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.system.files import write_whole
from bert_tf.system.listing import listed
from bert_tf.system.pictures import try_to_draw
from bert_tf.tracking.tracker import Tracker, describe_tracking_uri, read_metrics, run_id_of
from pipelines.engine import history
from pipelines.engine.json_files import read_json
from pipelines.engine.runner import FlowRun
from pipelines.report.pictures import make_figure, plot, save
from pipelines.steps.delivery import GATE_FILE, PUBLISHED_FILE, REGISTERED_FILE
from pipelines.steps.ingest import set_aside_files
from pipelines.steps.smoke_test import SMOKE_TEST_FILE

REPORT_FILE, PICTURE_FILE = "report.md", "report.png"
_MARKERS = "os^D"
_TRAININGS = ("pretrain", "continue_pretraining", "finetune")


def write_flow_report(run: FlowRun) -> Path:
    """Write the page; what the record does not know yet of model and files is put into it."""
    _complete(run)
    record, folder = run.record, run.flow_dir / "reports" / run.record.run_id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PICTURE_FILE
    has_picture = _num_axes(run) > 0 and try_to_draw(_draw, run, path)
    sections = [
        *_heading(run),
        *(["", f"![Curves and metrics]({PICTURE_FILE})"] if has_picture else []),
        *_steps(run),
        *_set_aside(run),
        *_decision(run),
        *_where(run),
    ]
    path = write_whole(folder / REPORT_FILE, "\n".join(sections) + "\n")
    if record.status != history.NOTHING_NEW:
        _track(run, folder, files=(REPORT_FILE, PICTURE_FILE) if has_picture else (REPORT_FILE,))
    return path


def _complete(run: FlowRun) -> None:
    record = run.record
    for step in ("register", "register_encoder"):
        if not record.model and (registered := _read(run, step, REGISTERED_FILE)):
            record.model = "{name} version {version}".format(**registered)
    published = _read(run, "publish", PUBLISHED_FILE)
    if published and record.status != history.ROLLED_BACK:
        record.served_at = str(published["path"])
    record.set_aside = [
        file._asdict()
        for name in ("ingest", "labelled")
        if name in run.folders
        for file in set_aside_files(run.folders[name])
    ]


def _heading(run: FlowRun) -> Iterator[str]:
    record = run.record
    yield f"# {record.flow}: {record.status.replace('_', ' ')}"
    yield ""
    yield f"{record.started_at} to {record.ended_at}, run `{record.run_id}`: {run.flow.purpose}."
    if record.reason:
        yield f"\n**{_cell(record.reason)}**"


def _steps(run: FlowRun) -> Iterator[str]:
    yield "\n## Steps\n"
    yield "| step | | seconds | why |\n|---|---|---|---|"
    for step in run.record.steps:
        seconds = f"{step.seconds:.0f}" if step.seconds else ""
        yield f"| {step.name} | {step.status} | {seconds} | {_cell(step.reason)} |"


def _set_aside(run: FlowRun) -> Iterator[str]:
    if run.record.set_aside:
        yield "\n## Files that were set aside\n"
        files = (f"- `{file['path']}`: {_cell(file['reason'])}" for file in run.record.set_aside)
        yield listed(files, max_items=100, max_characters=500, separator="\n")


def _decision(run: FlowRun) -> Iterator[str]:
    decision = _read(run, "gate", GATE_FILE)
    if decision:
        against = decision["champion"]
        yield f"\n## Gate: {'passed' if decision['has_passed'] else 'refused'}\n"
        yield (
            f"Version {decision['version']} against "
            f"{f'champion {against}' if against else 'no champion'}: {_cell(decision['reason'])}.\n"
        )
        yield from _metrics(decision["figures"])
        yield (run.folders["gate"] / GATE_FILE).with_suffix(".md").read_text(encoding="utf-8")


def _metrics(figures: Mapping[str, Any]) -> Iterator[str]:
    models = _models(figures)
    yield f"| on held-out texts | {' | '.join(models)} |\n|---|{'---|' * len(models)}"
    for metric in _metric_names(figures):
        values = [figures[model][metric] for model in models]
        cells = [f"{v['value']:.4f} ({v['low']:.4f} to {v['high']:.4f})" for v in values]
        yield f"| {metric.replace('_', ' ')} | {' | '.join(cells)} |"
    yield ""


def _metric_names(figures: Mapping[str, Any]) -> list[str]:
    """Those of the task that have intervals."""
    return [name for name in figures["metrics"] if name in figures["challenger"]]


def _models(figures: Mapping[str, Any]) -> list[str]:
    return [name for name in ("champion", "challenger") if figures.get(name)]


def _where(run: FlowRun) -> Iterator[str]:
    record = run.record
    yield "\n## Where to look\n"
    if record.model:
        yield f"- {record.model}"
    if record.served_at:
        yield f"- served from `{record.served_at}`"
    if tested := _read(run, "smoke_test", SMOKE_TEST_FILE):
        yield f"- {tested['num_texts']} texts asked over REST at {tested['url']}: as the SavedModel"
    yield f"- runs and registry: `{describe_tracking_uri(run.tracking_uri)}`"
    for name in _TRAININGS:
        if name in run.folders and (run_id := run_id_of(run.folders[name])):
            yield f"- MLflow run of {name}: `{run_id}`"
    yield f"- logs: `{run.flow_dir / 'logs'}`"


def _num_axes(run: FlowRun) -> int:
    has_decision = bool(_read(run, "gate", GATE_FILE))
    num_trainings = sum(name in run.folders for name in _TRAININGS)
    return num_trainings + has_decision + any(step.seconds for step in run.record.steps)


def _draw(run: FlowRun, path: Path) -> None:
    """Loss of each training, metrics of both models, seconds of steps."""
    trainings = [name for name in _TRAININGS if name in run.folders]
    decision = _read(run, "gate", GATE_FILE)
    timed = [step for step in run.record.steps if step.seconds]
    num_axes = _num_axes(run)
    figure, rest = make_figure(num_axes)
    axes = iter(rest)
    for name, of_training in zip(trainings, axes, strict=False):
        _draw_curves(of_training, run.folders[name], name)
    axes = iter(rest[len(trainings) :])
    if decision:
        _draw_metrics(next(axes), decision["figures"])
    if timed:
        of_steps = next(axes)
        of_steps.barh([step.name for step in timed], [step.seconds for step in timed])
        of_steps.invert_yaxis()
        of_steps.set(title="seconds of the steps that ran")
    save(figure, path)


def _draw_curves(axes: Any, folder: Path, name: str) -> None:
    curves = read_metrics(folder)
    loss = "loss" if name == "finetune" else "masked_lm_loss"
    for split, style in (("train", "-"), ("eval", "o-")):
        plot(axes, curves, f"{split}/{loss}", style, split)
    axes.set(title=f"{name}: {loss.replace('_', ' ')} (nats)", xlabel="step")


def _draw_metrics(axes: Any, figures: Mapping[str, Any]) -> None:
    """Points with their intervals, challenger beside champion."""
    models, metrics = _models(figures), _metric_names(figures)[: len(_MARKERS)]
    for place, model in enumerate(models):
        for offset, metric in enumerate(metrics):
            interval = figures[model][metric]
            value = interval["value"]
            error = [[value - interval["low"]], [interval["high"] - value]]
            axes.errorbar(
                [place + 0.2 * offset],
                [value],
                error,
                fmt=_MARKERS[offset],
                capsize=4,
                color=f"C{offset}",
                label=metric.replace("_", " ") if place == 0 else None,
            )
    axes.set_xticks([place + 0.1 for place in range(len(models))], models)
    axes.legend()
    axes.set(title="metrics with intervals", xlim=(-0.5, 1.7))


def _track(run: FlowRun, folder: Path, *, files: Sequence[str]) -> None:
    """An MLflow run with the page; what a dead server missed is in the folder's journal."""
    record = run.record
    with Tracker.open(
        folder,
        config=run.config.tracking,
        tracking_uri=run.tracking_uri,
        stage=f"flow {record.flow}",
        run_name=f"{record.flow} {record.run_id}",
    ) as tracker:
        tracker.set_tags(
            {"flow": record.flow, "flow.status": record.status, "flow.reason": record.reason[:500]}
        )
        seconds = {f"seconds/{step.name}": step.seconds for step in record.steps if step.seconds}
        tracker.log_metrics(seconds, step=0, replaces=True)
        for name in files:
            tracker.log_artifact(folder / name)


def _read(run: FlowRun, step: str, name: str) -> dict[str, Any]:
    """A file that a step of this run wrote or was reused with; nothing where there is none."""
    path = run.folders[step] / name if step in run.folders else None
    return {} if path is None or not path.is_file() else read_json(path)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
