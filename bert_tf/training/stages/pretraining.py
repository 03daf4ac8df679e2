"""`bert-tf pretrain`: prepared records in, a pretrained encoder with its heads out."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from bert_tf.config import Config, MaskingConfig, ModelConfig, OptimizerConfig
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.bert import with_stored_architecture, with_vocab_size
from bert_tf.models.description import ModelDescription, load_description, weights_sha256
from bert_tf.models.flops import classifier_flops
from bert_tf.models.folder import load_pretrainer
from bert_tf.tracking.provenance import HELD_OUT_ROLE, DataInput, records_input
from bert_tf.training.engine.loop import Progress
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.settings import defaults_of
from bert_tf.training.engine.strategy import make_strategy
from bert_tf.training.measuring.profiled_steps import ProfiledSteps
from bert_tf.training.stages.phases import PretrainingPhase, open_phases
from bert_tf.training.stages.stage import Ended, Stage, owning_its_folder, run_stage
from bert_tf.training.workers.tf_config import ALONE, Worker

# Settings that a run without them had: `settings.json` of older runs lacks them.
_IMPLIED_SETTINGS = {
    "architecture": defaults_of(ModelConfig),
    "masking": defaults_of(MaskingConfig),
    "optimizer": defaults_of(OptimizerConfig),
    "pretrained_sha256": None,
}


@owning_its_folder
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
    held-out records and what guessing reaches there (`masked_batches.baselines`); without
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
    training = config.pretraining.training
    # Before anything else uses TensorFlow: logical devices cannot be made later.
    strategy = make_strategy(num_logical_devices=training.num_logical_devices, worker=worker)
    phases = open_phases(config, num_replicas=strategy.num_replicas_in_sync)
    return run_stage(
        _make_stage(config, phases),
        Path(output_dir),
        strategy=strategy,
        tracking_uri=tracking_uri,
        on_progress=on_progress,
        is_stop_requested=is_stop_requested,
        worker=worker,
        profile=profile,
    )


def _make_stage(config: Config, phases: tuple[PretrainingPhase, ...]) -> Stage:
    description = _describe(config, phases)
    section, last = config.pretraining, phases[-1].opened

    def load_weights(model: keras.Model) -> None:
        if section.pretrained is not None:
            load_pretrainer(model, section.pretrained)

    def end(metrics: dict[str, float], output_dir: Path) -> Ended:
        if last.eval_batches:
            metrics = metrics | last.baselines()
        return Ended(metrics=metrics, description=description)

    has_labels = description.has_next_sentence
    architecture = description.architecture
    return Stage(
        name="pretrain",
        config=config.model_copy(update={"model": architecture}),
        training=section.training,
        description=description,
        tokenizer=last.tokenizer,
        pretrained=section.pretrained,
        load_weights=load_weights,
        objective=PretrainingObjective(),
        phases=phases,
        settings=_settings(config, phases, description),
        implied_settings=_IMPLIED_SETTINGS,
        shared={"pretraining": _without_paths(config)},
        inputs=_inputs(phases),
        end=end,
        head_flops=classifier_flops(architecture, num_outputs=2) if has_labels else 0.0,
        faults_named=[phase.opened.damage_named() for phase in phases],
    )


def _describe(config: Config, phases: Sequence[PretrainingPhase]) -> ModelDescription:
    longest = max((phase.opened for phase in phases), key=lambda opened: opened.max_seq_length)
    architecture = _architecture(config, longest.tokenizer)
    if longest.max_seq_length > architecture.max_position_embeddings:
        raise ValueError(
            "model.max_position_embeddings must be at least the records' max_seq_length. "
            f"Received: {architecture.max_position_embeddings} and {longest.max_seq_length}. "
            "Prepare shorter records or raise model.max_position_embeddings."
        )
    return ModelDescription(
        kind="pretraining",
        architecture=architecture,
        max_seq_length=longest.max_seq_length,
        has_next_sentence=longest.next_sentence,
        has_pooler=longest.next_sentence,  # nothing else would train it
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


def _inputs(phases: Sequence[PretrainingPhase]) -> list[DataInput]:
    held_out = [phase.eval_records for phase in phases if phase.eval_records is not None]
    return [
        *(records_input(phase.name, phase.records) for phase in phases),
        *(records_input(HELD_OUT_ROLE, path) for path in held_out),
    ]


def _settings(
    config: Config, phases: Sequence[PretrainingPhase], description: ModelDescription
) -> dict[str, object]:
    """Only the last phase may grow: the steps before it are done on what they were done on."""
    training, pretrained = config.pretraining.training, config.pretraining.pretrained
    settings = {
        "seed": config.seed,
        "architecture": description.architecture.model_dump(mode="json"),
        "masking": config.masking.model_dump(mode="json"),
        "num_train_steps": config.pretraining.num_train_steps,
        "optimizer": training.optimizer.model_dump(mode="json"),
        "pretrained_sha256": pretrained and weights_sha256(pretrained),
    }
    if not config.pretraining.phases:
        (phase,) = phases
        return settings | {"records": phase.opened.plan, "batch_size": phase.batch_size}
    return settings | {
        "phases": {
            str(number): {
                "records": phase.opened.plan,
                "batch_size": phase.batch_size,
                "max_predictions_per_seq": phase.masking.max_predictions_per_seq,
                "schedule": phase.schedule and phase.schedule.model_dump(mode="json"),
            }
            | ({} if phase is phases[-1] else {"num_steps_before_next": phase.num_steps})
            for number, phase in enumerate(phases)
        }
    }
