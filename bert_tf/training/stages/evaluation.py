"""`bert-tf evaluate`: a saved model and held-out data in, its metrics out."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.config import Config, required
from bert_tf.data.batches.google_records import is_static
from bert_tf.data.batches.opened_records import OpenedRecords, open_prepared, open_static
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.system.output_folder import owned_folder
from bert_tf.tasks.base import Task
from bert_tf.tasks.models import load_model
from bert_tf.tasks.table import task_of
from bert_tf.tracking.reporting import report_run
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.strategy import make_single_device_strategy
from bert_tf.training.stages.held_out import HeldOut
from bert_tf.training.stages.training_data import check_is_table


def evaluate_model(
    config: Config, output_dir: str | Path, *, data: Any = None, tracking_uri: str | None = None
) -> dict[str, float]:
    """Metrics of `evaluation.model` on `evaluation.data`, written to `metrics.json`.

    Float32 on one device: the numbers do not depend on how the model was trained.

    Args:
        data: in the place of `evaluation.data`: whatever `read_table` takes, such as a DataFrame.

    Raises:
        ValueError: model and data do not fit together, or `output_dir` is another command's.
    """
    section = config.evaluation
    folder = required(section.model, key="evaluation.model", what="a trained model's folder")
    if data is None:
        data = required(section.data, key="evaluation.data", what="records or a labelled table")
    with owned_folder(output_dir, command="evaluate") as output:
        return _evaluate(config, output, folder, data, tracking_uri=tracking_uri)


def _evaluate(
    config: Config, output_dir: Path, folder: str, data: Any, *, tracking_uri: str | None
) -> dict[str, float]:
    description, tokenizer = load_description(folder), Tokenizer.load(folder)
    task = task_of(description, config.finetuning)
    if task is not None:
        return _evaluate_task(
            config, output_dir, task, description, data, tokenizer, tracking_uri=tracking_uri
        )
    if description.kind != "pretraining":
        raise ValueError(
            f"{folder}: evaluation.model must be a pretraining model or one of a task. Received: "
            f"kind={description.kind!r}."
        )
    return _evaluate_pretraining(
        config, output_dir, description, str(data), tokenizer, tracking_uri=tracking_uri
    )


def _evaluate_task(
    config: Config,
    output_dir: str | Path,
    task: Task,
    description: ModelDescription,
    data: Any,
    tokenizer: Tokenizer,
    *,
    tracking_uri: str | None,
) -> dict[str, float]:
    section = config.evaluation
    check_is_table(data, key="evaluation.data")
    table = read_table(data, config=config.finetuning.table, key="evaluation.data")
    examples = task.read_for(description, table, config.finetuning)
    if section.max_steps is not None:
        num_examples = min(len(examples), section.max_steps * section.batch_size)
        examples = examples.take(range(num_examples))
    held_out = HeldOut(
        task, examples, description, tokenizer=tokenizer, batch_size=section.batch_size
    )
    strategy = make_single_device_strategy()
    with strategy.scope():
        model = load_model(str(section.model))
    with _reported(config, description, output_dir, tracking_uri) as log:
        evaluate = Evaluation(
            model,
            task.objective(description),
            held_out.batches,
            strategy=strategy,
            rate=held_out.rate,
            predict=held_out.predict,
        )
        metrics = evaluate()
        report = held_out.report(Path(output_dir))
        metrics |= report.metrics
        log.log_files(*report.files)
        log.finish(metrics)
    return metrics


def _evaluate_pretraining(
    config: Config,
    output_dir: str | Path,
    description: ModelDescription,
    data: str,
    tokenizer: Tokenizer,
    *,
    tracking_uri: str | None,
) -> dict[str, float]:
    opened = _open_records(config, data, description, tokenizer)
    batches = _held_out(config, data, opened)
    strategy = make_single_device_strategy()
    with strategy.scope():
        model = load_model(str(config.evaluation.model))
    with _reported(config, description, output_dir, tracking_uri) as log:
        evaluate = Evaluation(model, PretrainingObjective(), lambda: batches, strategy=strategy)
        with opened.damage_named():
            metrics = evaluate() | opened.baselines()
        log.finish(metrics)
    return metrics


def _reported(
    config: Config,
    description: ModelDescription,
    output_dir: str | Path,
    tracking_uri: str | None,
) -> Any:
    resolved = config.model_copy(update={"model": description.architecture})
    return report_run(resolved, output_dir, stage="evaluate", tracking_uri=tracking_uri)


def _open_records(
    config: Config, data: str, description: ModelDescription, tokenizer: Tokenizer
) -> OpenedRecords:
    if is_static(data):
        opened = open_static(data, data, tokenizer=tokenizer)
    else:
        opened = open_prepared(data, masking=config.masking)
    if opened.tokenizer.vocabulary_sha256 != tokenizer.vocabulary_sha256:
        raise ValueError(
            f"{data}: the records must be made with the model's vocabulary. Received: another. "
            "Prepare the text with tokenizer.vocabulary set to the model's folder."
        )
    if opened.max_seq_length > description.architecture.max_position_embeddings:
        raise ValueError(
            f"{data}: the records must fit the model's "
            f"{description.architecture.max_position_embeddings} positions. Received: "
            f"max_seq_length={opened.max_seq_length}. Prepare shorter ones."
        )
    return opened


def _held_out(config: Config, data: str, opened: OpenedRecords) -> tf.data.Dataset:
    if opened.eval_batches is None:
        raise ValueError(
            f"{data}: evaluation needs held-out records. Received: none. Prepare them with "
            "corpus.held_out_share above 0 (or higher: no document may have been drawn)."
        )
    return opened.eval_batches(
        batch_size=config.evaluation.batch_size,
        seed=config.seed,
        max_steps=config.evaluation.max_steps,
    )
