"""Writes the demo's result: `report.md` with three pictures."""

import shutil
from pathlib import Path
from typing import Any

from bert_tf.system.files import write_whole
from bert_tf.tracking.tracker import describe_tracking_uri, read_metrics, run_id_of
from pipelines.demo.steps import ANSWERS_FILE
from pipelines.engine.json_files import read_json
from pipelines.engine.runner import FlowRun
from pipelines.engine.step_state import read_seconds
from pipelines.report.pictures import make_figure, plot, save
from pipelines.steps.delivery import PUBLISHED_FILE


def write_report(run: FlowRun, output_dir: Path) -> Path:
    """Write `report.md`, `pretraining.png`, `finetuning.png`, `confusion_matrix.png`."""
    folders = run.folders
    classifiers = {
        "pretrained": folders["finetune"],
        "from scratch": folders["finetune_from_scratch"],
    }
    pretraining = read_json(folders["pretrain"] / "metrics.json")
    finetuning = {name: read_json(path / "metrics.json") for name, path in classifiers.items()}
    answered = read_json(folders["answers"] / ANSWERS_FILE)
    published = read_json(folders["publish"] / PUBLISHED_FILE)["path"]
    _draw_pretraining(folders["pretrain"], pretraining, output_dir / "pretraining.png")
    _draw_finetuning(classifiers, output_dir / "finetuning.png")
    shutil.copyfile(
        folders["finetune"] / "confusion_matrix.png", output_dir / "confusion_matrix.png"
    )
    sections = [
        _pretraining_section(pretraining),
        _finetuning_section(finetuning, num_texts=answered["num_texts"]),
        _answers_section(answered),
        _where_section(published, run.tracking_uri, classifiers),
        _steps_section(run),
    ]
    return write_whole(output_dir / "report.md", "\n".join(["# Demo report", "", *sections]))


def _pretraining_section(metrics: dict[str, float]) -> str:
    return f"""## Pretraining

| on held-out documents | |
|---|---|
| masked-LM loss (nats) | {metrics["masked_lm_loss"]:.3f} |
| unigram entropy of the same texts (nats): what word frequencies alone reach | \
{metrics["unigram_entropy"]:.3f} |
| masked-LM accuracy | {metrics["masked_lm_accuracy"]:.1%} |
| masked-LM perplexity | {metrics["masked_lm_perplexity"]:.1f} |
| next-sentence accuracy | {metrics["next_sentence_accuracy"]:.1%} |
| always giving the more frequent answer | {metrics["next_sentence_majority"]:.1%} |

![Loss and accuracy over the steps](pretraining.png)
"""


def _finetuning_section(metrics: dict[str, dict[str, float]], *, num_texts: int) -> str:
    rows = "\n".join(
        f"| {name} | {values['classification_accuracy']:.1%} "
        f"({values['classification_accuracy_low']:.1%} to "
        f"{values['classification_accuracy_high']:.1%}) | {values['macro_f1']:.3f} |"
        for name, values in metrics.items()
    )
    return f"""## Fine-tuning: which package does a text of documentation come from?

| encoder | accuracy (95 % interval, {num_texts:,} texts) | macro F1 |
|---|---|---|
{rows}

Registered and served: the pretrained one.

![Accuracy over the steps](finetuning.png)
![Confusion matrix](confusion_matrix.png)
"""


def _answers_section(answers: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {row['text'].replace('|', '/')} | {row['label']} | {row['answer']} ({row['score']}) |"
        for row in answers["shown"]
    )
    return f"""## Served answers to texts that no training has seen

Over REST {answers["right_over_rest"]} of {answers["num_texts"]} right; the from-scratch model \
{answers["right_from_scratch"]} of the same. gRPC \
{"gives the same labels" if answers["grpc_agrees"] else "DISAGREES"}.

| text | package | answer |
|---|---|---|
{rows}
"""


def _where_section(published: str, tracking_uri: str, classifiers: dict[str, Path]) -> str:
    runs = ", ".join(f"{name} `{run_id_of(path)}`" for name, path in classifiers.items())
    return f"""## Where to look

- served version: `{published}`, the registry's `champion`; `make serve` serves it
- runs and registry: `{_address(tracking_uri)}`
- MLflow runs: {runs}
"""


def _address(tracking_uri: str) -> str:
    """A server's address, or the command that shows a database's runs."""
    described = describe_tracking_uri(tracking_uri)
    return f".venv/bin/{described}" if described.startswith("mlflow ") else described


def _steps_section(run: FlowRun) -> str:
    steps = run.flow_dir / "steps"
    rows = "\n".join(
        f"| {step.name} | {read_seconds(steps / step.name):.0f} s | {step.status} |"
        for step in run.record.steps
    )
    return f"## Steps\n\n| step | work took | this time |\n|---|---|---|\n{rows}\n"


def _draw_pretraining(encoder: Path, metrics: dict[str, float], path: Path) -> None:
    curves = read_metrics(encoder)
    figure, (loss_axes, accuracy_axes) = make_figure(2)
    for split, style in (("train", "-"), ("eval", "o-")):
        plot(loss_axes, curves, f"{split}/masked_lm_loss", style, split)
        plot(accuracy_axes, curves, f"{split}/next_sentence_accuracy", style, split)
    loss_axes.axhline(metrics["unigram_entropy"], color="grey", linestyle="--")
    loss_axes.annotate("unigram entropy", (0, metrics["unigram_entropy"]), color="grey")
    accuracy_axes.axhline(metrics["next_sentence_majority"], color="grey", linestyle="--")
    loss_axes.set(title="masked-LM loss (nats)", xlabel="step")
    accuracy_axes.set(title="next-sentence accuracy", xlabel="step")
    save(figure, path)


def _draw_finetuning(classifiers: dict[str, Path], path: Path) -> None:
    figure, (loss_axes, accuracy_axes, bar_axes) = make_figure(3)
    for label, folder in classifiers.items():
        curves = read_metrics(folder)
        plot(loss_axes, curves, "train/loss", "-", label)
        plot(accuracy_axes, curves, "eval/classification_accuracy", "o-", label)
        accuracy = read_json(folder / "metrics.json")["classification_accuracy"]
        bar_axes.bar_label(bar_axes.bar(label, accuracy), [f"{accuracy:.1%}"])
    loss_axes.set(title="training loss (nats)", xlabel="step")
    accuracy_axes.set(title="accuracy on unseen modules", xlabel="step")
    bar_axes.set(title="final accuracy", ylim=(0, 1))
    save(figure, path)
