"""`bert-tf pretrain`: prepared records in, a pretrained encoder with its heads out."""

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from bert_tf.config import Config, MaskingConfig, ModelConfig, OptimizerConfig, required
from bert_tf.data.batches.google_records import is_static
from bert_tf.data.batches.row_packing import pack_batches
from bert_tf.data.batches.sources import Source, open_prepared, open_static
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.bert import with_vocab_size
from bert_tf.models.folder import ModelDescription, build_model, save_model
from bert_tf.training.loop import Progress, Run, train
from bert_tf.training.metrics import PretrainingObjective
from bert_tf.training.reporting import report_run
from bert_tf.training.settings import bind_settings, defaults_of
from bert_tf.training.strategy import check_batch_size, dtype_policy, make_strategy

# What a run had that began before a setting existed.
_IMPLIED_SETTINGS = {
    "architecture": defaults_of(ModelConfig),
    "masking": defaults_of(MaskingConfig),
    "optimizer": defaults_of(OptimizerConfig),
}


def pretrain(
    config: Config,
    output_dir: str | Path,
    *,
    tracking_uri: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Pretrain and write the model folder (`model.json`, weights, tokenizer, `metrics.json`).

    A run that was interrupted goes on from its newest checkpoint. Returns the metrics on the
    held-out records and what guessing reaches there (`data.pretraining.baselines`); without
    held-out records, the metrics of the last logged steps.

    Raises:
        ValueError: the configuration, the records and the checkpoints do not fit together, or a
            shard is damaged; nothing was written then. Or a shard was damaged while training
            read it; the same call goes on from the newest checkpoint once it is whole.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
    """
    output_dir, section = Path(output_dir), config.pretraining
    # Before anything else uses TensorFlow: logical devices cannot be made later.
    strategy = make_strategy(num_logical_devices=section.training.num_logical_devices)
    check_batch_size(section.training, strategy)
    source = _open_source(config)
    description = _describe(config, source)
    policy = dtype_policy(section.training.precision)
    bind_settings(output_dir, _settings(config, source, description), implied=_IMPLIED_SETTINGS)
    resolved = config.model_copy(update={"model": description.architecture})
    with (
        report_run(resolved, output_dir, stage="pretrain", tracking_uri=tracking_uri) as log,
        source.damage_named(),
    ):
        source.tokenizer.save(output_dir)
        log.log_files("vocab.txt", "tokenizer.json")
        keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            model = build_model(
                description, dtype=policy, rematerialize=section.training.rematerialize
            )
        train_batches, eval_batches = _batches(config, source, strategy)
        metrics = train(
            Run(
                model=model,
                objective=PretrainingObjective(),
                strategy=strategy,
                config=section.training,
                num_steps=section.num_train_steps,
                seed=config.seed,
                train_batches=train_batches,
                eval_batches=eval_batches,
                output_dir=output_dir,
                log_metrics=log.log_metrics,
                on_progress=on_progress,
                is_stop_requested=is_stop_requested,
            )
        )
        if eval_batches:
            metrics |= source.baselines()
        save_model(model, description, output_dir)
        log.log_files("model.json")
        if metrics:  # a finished run without held-out records has its metrics already
            log.finish(metrics)
    return metrics


def _open_source(config: Config) -> Source:
    section = config.pretraining
    records = required(
        section.records, key="pretraining.records", what="a folder that `bert-tf prepare` wrote"
    )
    if is_static(records):
        vocabulary = required(
            config.tokenizer.vocabulary,
            key="tokenizer.vocabulary",
            what="the vocab.txt that the static records were made with",
        )
        tokenizer = Tokenizer.load(vocabulary, config.tokenizer)
        return open_static(records, section.eval_records, tokenizer=tokenizer)
    source = open_prepared(records, masking=config.masking)
    if section.eval_records is not None:
        raise ValueError(
            "pretraining.eval_records must be unset for a folder of `bert-tf prepare`, which has "
            f"its own held-out records. Received: {section.eval_records!r}. Take it out."
        )
    return source


def _batches(
    config: Config, source: Source, strategy: tf.distribute.Strategy
) -> tuple[Callable[..., tf.data.Dataset], Callable[..., tf.data.Dataset] | None]:
    """Functions of a step and of nothing; both take num_workers and worker_index, too."""
    section = config.pretraining
    options = {"batch_size": section.training.batch_size, "seed": config.seed}

    def train_batches(step: int, **worker: int) -> tf.data.Dataset:
        batches = source.train_batches(**options, start_step=step, **worker)
        return _packed(batches, config, source, strategy, **worker)

    if source.eval_batches is None:
        return train_batches, None
    make_batches = functools.partial(
        source.eval_batches, **options, max_steps=section.max_eval_steps
    )

    def eval_batches(**worker: int) -> tf.data.Dataset:
        return _packed(make_batches(**worker), config, source, strategy, **worker)

    return train_batches, eval_batches


def _packed(
    batches: tf.data.Dataset,
    config: Config,
    source: Source,
    strategy: tf.distribute.Strategy,
    *,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """`batches` in rows that every replica and micro-batch of the worker gets as many of."""
    del worker_index
    training = config.pretraining.training
    if not training.pack_sequences:
        return batches
    return pack_batches(
        batches,
        num_parts=strategy.num_replicas_in_sync // num_workers * training.accumulation_steps,
        masked_lm_prob=config.masking.masked_lm_prob,
        pad_id=source.tokenizer.pad_id,
    )


def _describe(config: Config, source: Source) -> ModelDescription:
    architecture = with_vocab_size(config.model, source.tokenizer.vocab_size)
    if source.max_seq_length > architecture.max_position_embeddings:
        raise ValueError(
            "model.max_position_embeddings must be at least the records' max_seq_length. "
            f"Received: {architecture.max_position_embeddings} and {source.max_seq_length}. "
            "Prepare shorter records or raise model.max_position_embeddings."
        )
    return ModelDescription(
        kind="pretraining",
        architecture=architecture,
        max_seq_length=source.max_seq_length,
        has_next_sentence=source.next_sentence,
        has_pooler=source.next_sentence,  # nothing else would train it
    )


def _settings(config: Config, source: Source, description: ModelDescription) -> dict[str, object]:
    training = config.pretraining.training
    return {
        "seed": config.seed,
        "architecture": description.architecture.model_dump(mode="json"),
        "masking": config.masking.model_dump(mode="json"),
        "records": source.plan,
        "num_train_steps": config.pretraining.num_train_steps,
        "batch_size": training.batch_size,
        "optimizer": training.optimizer.model_dump(mode="json"),
        "precision": dtype_policy(training.precision),
    }
