"""`bert-tf evaluate`: a saved model and held-out data in, its metrics out."""

from pathlib import Path

import tensorflow as tf

from bert_tf.config import Config, required, write_config
from bert_tf.data.pretraining import evaluation_batches, unigram_entropy
from bert_tf.data.tasks import LabelledText, read_labelled
from bert_tf.data.tokenizer import Tokenizer
from bert_tf.models.folder import ModelDescription, load_description, load_model
from bert_tf.training.finetuning import evaluation_data, report_classes
from bert_tf.training.loop import Evaluation
from bert_tf.training.metrics import ClassificationObjective, PretrainingObjective
from bert_tf.training.reporting import save_metrics
from bert_tf.training.strategy import make_strategy
from bert_tf.training.tracking import Tracker


def evaluate_model(config: Config, output_dir: str | Path, *, tracker: Tracker) -> dict[str, float]:
    """Metrics of `evaluation.model` on `evaluation.data`, written to `metrics.json`.

    Float32 on one device: the numbers do not depend on how the model was trained.
    """
    section = config.evaluation
    folder = required(section.model, key="evaluation.model", what="a trained model's folder")
    data = required(section.data, key="evaluation.data", what="records or a labelled file")
    description = load_description(folder)
    tokenizer = Tokenizer.load(folder)
    strategy = make_strategy()
    with strategy.scope():
        model = load_model(folder)

    def batches() -> tf.data.Dataset:
        if description.kind == "pretraining":
            return evaluation_batches(
                data,
                batch_size=section.batch_size,
                masking=config.masking,
                seed=config.seed,
                max_steps=section.max_steps,
            )
        labelled = _read(data, config=config, description=description)
        return evaluation_data(
            labelled, description, tokenizer=tokenizer, batch_size=section.batch_size
        )

    write_config(config, output_dir)
    if description.kind == "pretraining":
        metrics = Evaluation(model, PretrainingObjective(), batches, strategy=strategy)()
        metrics["unigram_entropy"] = unigram_entropy(data)
    else:
        metrics = Evaluation(model, ClassificationObjective(), batches, strategy=strategy)()
        metrics |= report_classes(model, batches(), description, output_dir)
    save_metrics(metrics, output_dir, tracker=tracker)
    return metrics


def _read(data: str, *, config: Config, description: ModelDescription) -> LabelledText:
    labelled = read_labelled(
        data,
        text_field=config.finetuning.text_field,
        text_pair_field=config.finetuning.text_pair_field,
        label_field=config.finetuning.label_field,
    )
    if (labelled.text_pairs is not None) != description.has_text_pairs:
        raise ValueError(
            "finetuning.text_pair_field must be set exactly for a model of pairs. Received: "
            f"{config.finetuning.text_pair_field!r}, and a model "
            f"{'of pairs' if description.has_text_pairs else 'of single texts'}."
        )
    return labelled
