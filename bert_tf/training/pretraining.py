"""`bert-tf pretrain`: prepared records in, a pretrained encoder with its heads out."""

from collections.abc import Callable
from pathlib import Path

import keras

from bert_tf.config import Config, required, write_config
from bert_tf.data.pretraining import evaluation_batches, training_batches, unigram_entropy
from bert_tf.data.records import read_manifest
from bert_tf.data.tokenizer import Tokenizer
from bert_tf.models.bert import with_vocab_size
from bert_tf.models.folder import ModelDescription, build_model, save_model
from bert_tf.training.loop import Progress, Run, train
from bert_tf.training.metrics import PretrainingObjective
from bert_tf.training.reporting import MetricsLog, save_metrics
from bert_tf.training.strategy import dtype_policy, make_strategy
from bert_tf.training.tracking import Tracker


def pretrain(
    config: Config,
    output_dir: str | Path,
    *,
    tracker: Tracker,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Pretrain and write the model folder (`model.json`, weights, tokenizer, `metrics.json`).

    A run that was interrupted goes on from its newest checkpoint. Returns the metrics on the
    held-out records, and `unigram_entropy`, the masked-LM loss (nats) of a model that knows
    word frequencies only.

    Raises:
        ValueError: the configuration, the records and the checkpoints do not fit together.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
    """
    output_dir = Path(output_dir)
    section, training = config.pretraining, config.pretraining.training
    records = required(
        section.records, key="pretraining.records", what="a folder that `bert-tf prepare` wrote"
    )
    manifest = read_manifest(records)
    tokenizer = Tokenizer.load(records)
    description = ModelDescription(
        kind="pretraining",
        architecture=with_vocab_size(config.model, tokenizer.vocab_size),
        max_seq_length=manifest.max_seq_length,
    )
    _check_length(description)
    write_config(config, output_dir)
    tokenizer.save(output_dir)
    strategy = make_strategy(num_logical_devices=training.num_logical_devices)
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        model = build_model(description, dtype=dtype_policy(training.precision))
    has_held_out = manifest.num_examples("eval") > 0
    with MetricsLog(output_dir, tracker=tracker) as metrics_log:
        metrics = train(
            Run(
                model=model,
                objective=PretrainingObjective(),
                strategy=strategy,
                config=training,
                num_steps=section.num_train_steps,
                seed=config.seed,
                train_batches=lambda step: training_batches(
                    records,
                    batch_size=training.batch_size,
                    masking=config.masking,
                    seed=config.seed,
                    start_step=step,
                ),
                eval_batches=(
                    lambda: evaluation_batches(
                        records,
                        batch_size=training.batch_size,
                        masking=config.masking,
                        seed=config.seed,
                        max_steps=section.max_eval_steps,
                    )
                )
                if has_held_out
                else None,
                output_dir=output_dir,
                settings={
                    "seed": config.seed,
                    "architecture": description.architecture.model_dump(mode="json"),
                    "masking": config.masking.model_dump(mode="json"),
                    "records": manifest.plan,
                    "num_train_steps": section.num_train_steps,
                    "batch_size": training.batch_size,
                    "optimizer": training.optimizer.model_dump(mode="json"),
                    "precision": model.dtype_policy.name,
                },
                log_metrics=metrics_log,
                on_progress=on_progress,
                is_stop_requested=is_stop_requested,
            )
        )
    if has_held_out:
        metrics["unigram_entropy"] = unigram_entropy(records)
    save_model(model, description, output_dir)
    save_metrics(metrics, output_dir, tracker=tracker)
    return metrics


def _check_length(description: ModelDescription) -> None:
    limit = description.architecture.max_position_embeddings
    if description.max_seq_length > limit:
        raise ValueError(
            "model.max_position_embeddings must be at least the records' max_seq_length. "
            f"Received: {limit} and {description.max_seq_length}. Prepare shorter records or "
            "raise model.max_position_embeddings."
        )
