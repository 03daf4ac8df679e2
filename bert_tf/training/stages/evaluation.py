"""`bert-tf evaluate`: a saved model and held-out data in, its metrics out."""

from pathlib import Path

import tensorflow as tf

from bert_tf.config import Config, required
from bert_tf.data.batches.google_records import is_static
from bert_tf.data.batches.opened_records import OpenedRecords, open_prepared, open_static
from bert_tf.data.batches.tasks import read_labelled
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.metrics.confusion import CONFUSION_MATRIX_FILE, report_classes
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.models.folder import load_model
from bert_tf.tracking.reporting import report_run
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.objective import ClassificationObjective, PretrainingObjective
from bert_tf.training.engine.strategy import make_single_device_strategy
from bert_tf.training.stages.finetuning import evaluation_data


def evaluate_model(
    config: Config, output_dir: str | Path, *, tracking_uri: str | None = None
) -> dict[str, float]:
    """Metrics of `evaluation.model` on `evaluation.data`, written to `metrics.json`.

    Float32 on one device: the numbers do not depend on how the model was trained.

    Raises:
        ValueError: model and data do not fit together.
    """
    section = config.evaluation
    folder = required(section.model, key="evaluation.model", what="a trained model's folder")
    data = required(section.data, key="evaluation.data", what="records or a labelled file")
    description = load_description(folder)
    if description.kind not in ("pretraining", "classification"):
        raise ValueError(
            f"{folder}: evaluation.model must be a pretraining or classification model. "
            f"Received: kind={description.kind!r}."
        )
    tokenizer = Tokenizer.load(folder)
    is_pretraining = description.kind == "pretraining"
    if is_pretraining:
        source = _open_source(config, data, description, tokenizer)
        batches = _held_out(config, data, source)
    else:
        batches = _labelled_texts(config, data, description, tokenizer)
    strategy = make_single_device_strategy()
    with strategy.scope():
        model = load_model(folder)
    objective = PretrainingObjective() if is_pretraining else ClassificationObjective()
    resolved = config.model_copy(update={"model": description.architecture})
    with report_run(resolved, output_dir, stage="evaluate", tracking_uri=tracking_uri) as log:
        evaluate = Evaluation(model, objective, lambda: batches, strategy=strategy)
        if is_pretraining:
            with source.damage_named():
                metrics = evaluate() | source.baselines()
        else:
            metrics = evaluate()
            metrics |= report_classes(model, batches, description.class_names, output_dir)
            log.log_files(CONFUSION_MATRIX_FILE)
        log.finish(metrics)
    return metrics


def _open_source(
    config: Config, data: str, description: ModelDescription, tokenizer: Tokenizer
) -> OpenedRecords:
    if is_static(data):
        source = open_static(data, data, tokenizer=tokenizer)
    else:
        source = open_prepared(data, masking=config.masking)
    if source.tokenizer.vocabulary != tokenizer.vocabulary:
        raise ValueError(
            f"{data}: the records must be made with the model's vocabulary. Received: another. "
            "Prepare the text with tokenizer.vocabulary set to the model's folder."
        )
    if source.max_seq_length > description.architecture.max_position_embeddings:
        raise ValueError(
            f"{data}: the records must fit the model's "
            f"{description.architecture.max_position_embeddings} positions. Received: "
            f"max_seq_length={source.max_seq_length}. Prepare shorter ones."
        )
    return source


def _held_out(config: Config, data: str, source: OpenedRecords) -> tf.data.Dataset:
    if source.eval_batches is None:
        raise ValueError(
            f"{data}: evaluation needs held-out records. Received: none. Prepare them with "
            "corpus.held_out_share above 0 (or higher: no document may have been drawn)."
        )
    return source.eval_batches(
        batch_size=config.evaluation.batch_size,
        seed=config.seed,
        max_steps=config.evaluation.max_steps,
    )


def _labelled_texts(
    config: Config, data: str, description: ModelDescription, tokenizer: Tokenizer
) -> tf.data.Dataset:
    columns = config.finetuning
    labelled = read_labelled(
        data,
        text_field=columns.text_field,
        text_pair_field=columns.text_pair_field,
        label_field=columns.label_field,
    )
    if (labelled.text_pairs is not None) != description.has_text_pairs:
        raise ValueError(
            "finetuning.text_pair_field must be set exactly for a model of pairs. Received: "
            f"{columns.text_pair_field!r}, and a model "
            f"{'of pairs' if description.has_text_pairs else 'of single texts'}."
        )
    batches = evaluation_data(
        labelled, description, tokenizer=tokenizer, batch_size=config.evaluation.batch_size
    )
    max_steps = config.evaluation.max_steps
    return batches if max_steps is None else batches.take(max_steps)
