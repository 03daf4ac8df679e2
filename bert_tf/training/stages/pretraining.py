"""`bert-tf pretrain`: prepared records in, a pretrained encoder with its heads out."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from bert_tf import __version__
from bert_tf.config import Config, MaskingConfig, ModelConfig, OptimizerConfig
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.bert import with_stored_architecture, with_vocab_size
from bert_tf.models.description import ModelDescription, load_description, weights_sha256
from bert_tf.models.folder import build_model, load_pretrainer, save_model
from bert_tf.tracking.provenance import records_input
from bert_tf.tracking.reporting import report_run
from bert_tf.training.engine.checkpoints import newest_step
from bert_tf.training.engine.loop import Progress, Run, train
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.settings import bind_settings, defaults_of
from bert_tf.training.engine.strategy import check_batch_size, dtype_policy, make_strategy
from bert_tf.training.measuring.profiled_steps import ProfiledSteps
from bert_tf.training.measuring.profiler import open_profiler
from bert_tf.training.stages.phases import OpenPhase, open_phases
from bert_tf.training.workers.agreement import check_same_settings, lost_workers_named, wait_for_all
from bert_tf.training.workers.tf_config import ALONE, Worker

# What a run had that began before a setting existed.
_IMPLIED_SETTINGS = {
    "architecture": defaults_of(ModelConfig),
    "masking": defaults_of(MaskingConfig),
    "optimizer": defaults_of(OptimizerConfig),
    "pretrained_sha256": None,
}


def pretrain(
    config: Config,
    output_dir: str | Path,
    *,
    tracking_uri: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
    worker: Worker = ALONE,
    profile: ProfiledSteps | None = None,
) -> dict[str, float]:
    """Pretrain and write the model folder (`model.json`, weights, tokenizer, `metrics.json`).

    A run that was interrupted goes on from its newest checkpoint. Returns the metrics on the
    held-out records and what guessing reaches there (`data.pretraining.baselines`); without
    held-out records, the metrics of the last logged steps. Of several workers only the chief
    writes.

    Raises:
        ValueError: the configuration, the records and the checkpoints do not fit together, or a
            shard is damaged; nothing was written then. Or a shard was damaged while training
            read it; the same call goes on from the newest checkpoint once it is whole.
        ProfileRangeError: `profile` names steps that the run will not train; nothing was written.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
        LostWorkerError: another worker has gone; likewise.
    """
    output_dir, training = Path(output_dir), config.pretraining.training
    # Before anything else uses TensorFlow: logical devices cannot be made later.
    strategy = make_strategy(num_logical_devices=training.num_logical_devices, worker=worker)
    phases = open_phases(config)
    for phase in phases:
        check_batch_size(phase.training, strategy)
    description = _describe(config, phases)
    policy = dtype_policy(training.precision)
    profiler = open_profiler(
        profile if worker.is_chief else None,
        output_dir,
        first_step=newest_step(output_dir),
        num_steps=config.pretraining.num_train_steps,
    )
    settings = _settings(config, phases, description)
    check_same_settings(
        settings | {"version": __version__, "pretraining": _without_paths(config)}, strategy, worker
    )
    bind_settings(
        output_dir,
        settings,
        implied=_IMPLIED_SETTINGS,
        is_writer=worker.is_chief,
    )
    resolved = config.model_copy(update={"model": description.architecture})
    last = phases[-1].source
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(
            report_run(
                resolved,
                output_dir,
                stage="pretrain",
                tracking_uri=tracking_uri,
                is_writer=worker.is_chief,
            )
        )
        for phase in phases:
            stack.enter_context(phase.source.damage_named())
        stack.enter_context(lost_workers_named(worker))  # before damage is looked for
        if worker.is_chief:
            last.tokenizer.save(output_dir)
        log.log_files("vocab.txt", "tokenizer.json")
        log.log_provenance(
            stage="pretrain",
            inputs=[records_input(phase.name, phase.records) for phase in phases],
            vocabulary_sha256=last.tokenizer.vocabulary_sha256,
            parent=config.pretraining.pretrained,
        )
        keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            model = build_model(description, dtype=policy, rematerialize=training.rematerialize)
            if config.pretraining.pretrained is not None:
                load_pretrainer(model, config.pretraining.pretrained)
        metrics = train(
            Run(
                model=model,
                objective=PretrainingObjective(),
                strategy=strategy,
                config=training,
                phases=tuple(phase.batches(strategy) for phase in phases),
                seed=config.seed,
                output_dir=output_dir,
                worker=worker,
                log_metrics=log.log_metrics,
                on_progress=on_progress,
                is_stop_requested=is_stop_requested,
                profiler=profiler,
            )
        )
        if last.eval_batches and worker.is_chief:
            metrics |= last.baselines()
        if worker.is_chief:
            save_model(model, description, output_dir)
        log.log_files("model.json")
        if metrics:  # a finished run without held-out records has its metrics already
            log.finish(metrics)
    wait_for_all(strategy, worker)
    return metrics


def _describe(config: Config, phases: Sequence[OpenPhase]) -> ModelDescription:
    source = max((phase.source for phase in phases), key=lambda source: source.max_seq_length)
    architecture = _architecture(config, source.tokenizer)
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


def _architecture(config: Config, tokenizer: Tokenizer) -> ModelConfig:
    """That of `model`, or of the model to go on from, which must read the records' tokens."""
    folder = config.pretraining.pretrained
    if folder is None:
        return with_vocab_size(config.model, tokenizer.vocab_size)
    stored = load_description(folder).architecture
    if Tokenizer.load(folder).vocabulary_sha256 != tokenizer.vocabulary_sha256:
        raise ValueError(
            f"{folder}: the records must be made with the vocabulary of pretraining.pretrained. "
            "Received: another one. Prepare them with tokenizer.vocabulary set to this folder."
        )
    return with_stored_architecture(config.model, stored)


def _without_paths(config: Config) -> dict[str, object]:
    """The section: what workers may have at different places is not in it."""
    paths = {"pretrained", "records", "eval_records"}
    section = config.pretraining
    return section.model_dump(mode="json", exclude={*paths, "phases"}) | {
        "phases": [phase.model_dump(mode="json", exclude=paths) for phase in section.phases]
    }


def _settings(
    config: Config, phases: Sequence[OpenPhase], description: ModelDescription
) -> dict[str, object]:
    """Only the last phase may grow: the steps before it are done on what they were done on."""
    training, pretrained = config.pretraining.training, config.pretraining.pretrained
    settings = {
        "seed": config.seed,
        "architecture": description.architecture.model_dump(mode="json"),
        "masking": config.masking.model_dump(mode="json"),
        "num_train_steps": config.pretraining.num_train_steps,
        "optimizer": training.optimizer.model_dump(mode="json"),
        "precision": dtype_policy(training.precision),
        "pretrained_sha256": pretrained and weights_sha256(pretrained),
    }
    if not config.pretraining.phases:
        (phase,) = phases
        return settings | {"records": phase.source.plan, "batch_size": phase.training.batch_size}
    return settings | {
        "phases": {
            str(number): {
                "records": phase.source.plan,
                "batch_size": phase.training.batch_size,
                "max_predictions_per_seq": phase.masking.max_predictions_per_seq,
                "schedule": phase.schedule and phase.schedule.model_dump(mode="json"),
            }
            | ({} if phase is phases[-1] else {"num_steps_before_next": phase.num_steps})
            for number, phase in enumerate(phases)
        }
    }
