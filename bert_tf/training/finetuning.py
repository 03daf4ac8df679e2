"""`bert-tf finetune`: labelled texts and a pretrained encoder in, a classifier out."""

import math
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import Config, FinetuningConfig, required, write_config
from bert_tf.data.tasks import (
    LabelledText,
    class_names,
    classification_batches,
    read_labelled,
)
from bert_tf.data.tokenizer import Tokenizer
from bert_tf.models.folder import (
    ModelDescription,
    build_model,
    load_description,
    load_weights,
    save_model,
)
from bert_tf.training.confusion import (
    CONFUSION_MATRIX_FILE,
    confusion_matrix,
    draw_confusion_matrix,
    f1_scores,
)
from bert_tf.training.loop import Progress, Run, train
from bert_tf.training.metrics import ClassificationObjective
from bert_tf.training.reporting import MetricsLog, save_metrics
from bert_tf.training.strategy import dtype_policy, make_strategy
from bert_tf.training.tracking import Tracker


def finetune(
    config: Config,
    output_dir: str | Path,
    *,
    tracker: Tracker,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Train a classifier and write its model folder, metrics and confusion matrix.

    Returns the metrics on `finetuning.eval_path`: loss, accuracy and F1 (macro, and for two
    classes also of the second one).

    Raises:
        ValueError: data, model folder and configuration do not fit together.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
    """
    output_dir = Path(output_dir)
    section, training = config.finetuning, config.finetuning.training
    pretrained = required(
        section.pretrained,
        key="finetuning.pretrained",
        what="a folder that `bert-tf pretrain` wrote",
    )
    train_data, eval_data = _read_data(section)
    tokenizer = Tokenizer.load(pretrained)
    description = _describe(section, pretrained, train_data)
    write_config(config, output_dir)
    tokenizer.save(output_dir)
    strategy = make_strategy(num_logical_devices=training.num_logical_devices)
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = build_model(description, dtype=dtype_policy(training.precision))
        if not section.from_scratch:
            load_weights(model, pretrained, part="encoder/")

    def eval_batches() -> tf.data.Dataset:
        return evaluation_data(
            eval_data, description, tokenizer=tokenizer, batch_size=training.batch_size
        )

    num_steps = math.ceil(section.num_epochs * len(train_data.texts) / training.batch_size)
    with MetricsLog(output_dir, tracker=tracker) as metrics_log:
        metrics = train(
            Run(
                model=model,
                objective=ClassificationObjective(),
                strategy=strategy,
                config=training,
                num_steps=num_steps,
                seed=config.seed,
                train_batches=lambda step: classification_batches(
                    train_data,
                    tokenizer=tokenizer,
                    class_names=list(description.class_names),
                    max_seq_length=section.max_seq_length,
                    batch_size=training.batch_size,
                    seed=config.seed,
                    is_training=True,
                    start_step=step,
                ),
                eval_batches=eval_batches,
                output_dir=output_dir,
                settings={
                    "seed": config.seed,
                    "description": description.model_dump(mode="json"),
                    "from_scratch": section.from_scratch,
                    "pretrained": pretrained,
                    "train_path": section.train_path,
                    "num_steps": num_steps,
                    "batch_size": training.batch_size,
                    "optimizer": training.optimizer.model_dump(mode="json"),
                    "precision": model.dtype_policy.name,
                },
                log_metrics=metrics_log,
                on_progress=on_progress,
                is_stop_requested=is_stop_requested,
            )
        )
    metrics |= report_classes(model, eval_batches(), description, output_dir)
    tracker.log_artifact(output_dir / CONFUSION_MATRIX_FILE)
    save_model(model, description, output_dir)
    save_metrics(metrics, output_dir, tracker=tracker)
    return metrics


def evaluation_data(
    data: LabelledText, description: ModelDescription, *, tokenizer: Tokenizer, batch_size: int
) -> tf.data.Dataset:
    """One pass over labelled texts as the model was trained to read them."""
    return classification_batches(
        data,
        tokenizer=tokenizer,
        class_names=list(description.class_names),
        max_seq_length=description.max_seq_length,
        batch_size=batch_size,
        is_training=False,
    )


def report_classes(
    model: keras.Model,
    batches: tf.data.Dataset,
    description: ModelDescription,
    output_dir: str | Path,
) -> dict[str, float]:
    """F1 scores over one pass, and the confusion matrix as a picture in `output_dir`."""
    predict = tf.function(
        lambda batch: tf.argmax(model(batch, training=False), axis=-1),
        input_signature=[batches.element_spec],  # any length: one graph
    )
    labels: list[int] = []
    predictions: list[int] = []
    for batch in batches:
        is_real = batch["weights"].numpy() > 0
        labels += batch["labels"].numpy()[is_real].tolist()
        predictions += predict(batch).numpy()[is_real].tolist()
    names = description.class_names
    matrix = confusion_matrix(labels, predictions, num_classes=len(names))
    scores = f1_scores(matrix)
    path = Path(output_dir) / CONFUSION_MATRIX_FILE
    title = f"accuracy {np.trace(matrix) / matrix.sum():.3f} on {matrix.sum():,} texts"
    draw_confusion_matrix(matrix, names, path, title=title)
    metrics = {"macro_f1": float(scores.mean())}
    if len(names) == 2:
        metrics["f1"] = float(scores[1])
    return metrics


def _read_data(section: FinetuningConfig) -> tuple[LabelledText, LabelledText]:
    paths = [
        required(getattr(section, key), key=f"finetuning.{key}", what="a .tsv or .jsonl file")
        for key in ("train_path", "eval_path")
    ]
    train_data, eval_data = (
        read_labelled(
            path,
            text_field=section.text_field,
            text_pair_field=section.text_pair_field,
            label_field=section.label_field,
        )
        for path in paths
    )
    return train_data, eval_data


def _describe(
    section: FinetuningConfig, pretrained: str, train_data: LabelledText
) -> ModelDescription:
    architecture = load_description(pretrained).architecture
    if section.max_seq_length > architecture.max_position_embeddings:
        raise ValueError(
            "finetuning.max_seq_length must be at most the model's max_position_embeddings. "
            f"Received: {section.max_seq_length} and {architecture.max_position_embeddings}. "
            "Lower finetuning.max_seq_length."
        )
    return ModelDescription(
        kind="classification",
        architecture=architecture,
        max_seq_length=section.max_seq_length,
        class_names=tuple(class_names(train_data.labels)),
        has_text_pairs=train_data.text_pairs is not None,
        classifier_dropout_prob=section.classifier_dropout_prob,
    )
