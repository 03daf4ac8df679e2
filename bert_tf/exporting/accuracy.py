"""How good an export is on labelled texts, and how much worse than the model in float32."""

from collections.abc import Mapping

from bert_tf.config import Config
from bert_tf.data.tables.reading import read_table
from bert_tf.exporting.predict import text_batches
from bert_tf.exporting.servability import Check
from bert_tf.exporting.signatures import DEFAULT, ServingModel
from bert_tf.metrics.metric import Metric
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.answers import gathered
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import task_of

_BATCH_SIZE = 32


def read_evaluation(config: Config, description: ModelDescription) -> tuple[Task, Examples] | None:
    """The model's task and the examples of `export.evaluation_data`; None without it.

    Raises:
        ValueError: the model is of no task, or the table does not fit it.
    """
    path = config.export.evaluation_data
    if path is None:
        return None
    task = task_of(description, config.finetuning)
    if task is None:
        raise ValueError(
            "export.evaluation_data must be unset for a model that is of no task. Received: "
            f"{path!r}, and a model of the kind {description.kind}. Take it out."
        )
    table = read_table(path, config=config.finetuning.table, key="export.evaluation_data")
    examples = task.read_for(description, table, config.finetuning)
    task.check(examples, description)
    return task, examples


def measure(model: ServingModel, task: Task, examples: Examples) -> dict[str, float]:
    """The task's metrics of a model's answers to texts."""
    function = model.answers[DEFAULT]
    batches = text_batches(task.asked(examples), batch_size=_BATCH_SIZE)
    return task.measure(task.outcomes(examples, gathered(task, (function(**b) for b in batches))))


def check_metrics(
    found: Mapping[str, float],
    in_float32: Mapping[str, float] | None,
    *,
    task: Task,
    num_examples: int,
    max_loss: float,
) -> Check:
    """The metrics, beside those of float32 where there are some; a fault if they lost too much."""
    told = [_told(metric, found, in_float32) for metric in task.metrics if metric.key in found]
    detail = f"of {num_examples:,} examples: {', '.join(told)}"
    first = task.metric()
    if in_float32 is None or first.key not in found:
        return Check("metrics", detail=detail)
    # Two shares of one number of examples: what rounding adds is less than an example.
    if first.better(found[first.key], in_float32[first.key]) >= -max_loss - 1e-9:
        return Check("metrics", detail=detail)
    fault = (
        f"{first.name} must be worse than float32's by {max_loss:.4g} at most. Received: "
        f"{_told(first, found, in_float32)}. Of int8 give more export.calibration_texts, or leave "
        "the products with the largest effect to float32 (export.float32_layers)"
    )
    return Check("metrics", (fault,), detail)


def _told(
    metric: Metric, found: Mapping[str, float], in_float32: Mapping[str, float] | None
) -> str:
    beside = "" if in_float32 is None else f" (float32 {in_float32[metric.key]:.4f})"
    return f"{metric.name} {found[metric.key]:.4f}{beside}"
