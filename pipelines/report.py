"""The demo's result for people: `report.md` with three pictures."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from bert_tf.files import write_whole
from bert_tf.training.tracking import describe_tracking_uri, read_metrics, run_id_of
from pipelines.pictures import Curves, make_figure, plot, save
from pipelines.steps import Step


def write_report(
    output_dir: Path,
    *,
    steps: list[Step],
    encoder: Step,
    classifiers: dict[str, Step],
    better: str,
    published: Path,
    answers: Step,
    tracking_uri: str,
) -> Path:
    """Write `report.md`, `pretraining.png`, `finetuning.png`, `confusion_matrix.png`."""
    pretraining = _read(encoder.directory / "metrics.json")
    finetuning = {
        name: _read(step.directory / "metrics.json") for name, step in classifiers.items()
    }
    answered = _read(answers.directory / "answers.json")
    _draw_pretraining(encoder, pretraining, output_dir / "pretraining.png")
    _draw_finetuning(classifiers, output_dir / "finetuning.png")
    shutil.copyfile(
        classifiers[better].directory / "confusion_matrix.png", output_dir / "confusion_matrix.png"
    )
    sections = [
        _pretraining_section(pretraining),
        _finetuning_section(finetuning, better, num_texts=answered["num_texts"]),
        _answers_section(answered),
        _where_section(published, tracking_uri, classifiers),
        _steps_section(steps),
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


def _finetuning_section(
    metrics: dict[str, dict[str, float]], better: str, *, num_texts: int
) -> str:
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {values['classification_accuracy']:.1%} ± "
        f"{_standard_error(values['classification_accuracy'], num_texts):.1%} | "
        f"{values['macro_f1']:.3f} |"
        for name, values in metrics.items()
    )
    return f"""## Fine-tuning: which package does a text of documentation come from?

| encoder | accuracy (± standard error, {num_texts:,} texts) | macro F1 |
|---|---|---|
{rows}

Registered and served: {better.replace("_", " ")}.

![Accuracy over the steps](finetuning.png)
![Confusion matrix](confusion_matrix.png)
"""


def _standard_error(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)


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


def _where_section(published: Path, tracking_uri: str, classifiers: dict[str, Step]) -> str:
    runs = ", ".join(
        f"{name.replace('_', ' ')} `{run_id_of(step.directory)}`"
        for name, step in classifiers.items()
    )
    return f"""## Where to look

- served version: `{published}`, the registry's `champion`; `make serve` serves it
- runs and registry: `{_address(tracking_uri)}`
- MLflow runs: {runs}
"""


def _address(tracking_uri: str) -> str:
    """A server's address, or the command that shows a database's runs."""
    described = describe_tracking_uri(tracking_uri)
    return f".venv/bin/{described}" if described.startswith("mlflow ") else described


def _steps_section(steps: list[Step]) -> str:
    rows = "\n".join(
        f"| {step.name} | {step.seconds:.0f} s | {'reused' if step.is_reused else 'done'} |"
        for step in steps
    )
    return f"## Steps\n\n| step | work took | this time |\n|---|---|---|\n{rows}\n"


def _draw_pretraining(encoder: Step, metrics: dict[str, float], path: Path) -> None:
    curves = _curves(encoder)
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


def _draw_finetuning(classifiers: dict[str, Step], path: Path) -> None:
    figure, (loss_axes, accuracy_axes, bar_axes) = make_figure(3)
    for name, step in classifiers.items():
        curves, label = _curves(step), name.replace("_", " ")
        plot(loss_axes, curves, "train/loss", "-", label)
        plot(accuracy_axes, curves, "eval/classification_accuracy", "o-", label)
        accuracy = _read(step.directory / "metrics.json")["classification_accuracy"]
        bar_axes.bar_label(bar_axes.bar(label, accuracy), [f"{accuracy:.1%}"])
    loss_axes.set(title="training loss (nats)", xlabel="step")
    accuracy_axes.set(title="accuracy on unseen modules", xlabel="step")
    bar_axes.set(title="final accuracy", ylim=(0, 1))
    save(figure, path)


def _curves(step: Step) -> Curves:
    return read_metrics(step.directory)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
