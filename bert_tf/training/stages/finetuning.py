"""`bert-tf finetune`: labelled texts and a pretrained encoder in, a classifier out."""

import functools
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from bert_tf import __version__
from bert_tf.config import Config, FinetuningConfig, ModelConfig, OptimizerConfig, required
from bert_tf.data.batches.tasks import (
    LabelledText,
    check_labels,
    class_names,
    classification_batches,
    read_labelled,
)
from bert_tf.data.inspection.text_profile import PROFILE_FILE, profile_texts
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.metrics.confusion import CONFUSION_MATRIX_FILE, report_classes
from bert_tf.models.bert import with_stored_architecture, with_vocab_size
from bert_tf.models.description import ModelDescription, load_description, weights_sha256
from bert_tf.models.folder import build_model, load_encoder, save_model
from bert_tf.system.files import write_whole
from bert_tf.tracking.provenance import file_input
from bert_tf.tracking.reporting import report_run
from bert_tf.training.engine.checkpoints import newest_step
from bert_tf.training.engine.loop import Phase, Progress, Run, train
from bert_tf.training.engine.objective import ClassificationObjective
from bert_tf.training.engine.settings import bind_settings, defaults_of
from bert_tf.training.engine.strategy import check_batch_size, dtype_policy, make_strategy
from bert_tf.training.measuring.profiled_steps import ProfiledSteps
from bert_tf.training.measuring.profiler import open_profiler
from bert_tf.training.workers.agreement import check_same_settings, lost_workers_named, wait_for_all
from bert_tf.training.workers.tf_config import ALONE, Worker

# What a run had that began before a setting existed.
_IMPLIED_SETTINGS = {
    "description": defaults_of(ModelDescription) | {"architecture": defaults_of(ModelConfig)},
    "group_by_length": False,
    "optimizer": defaults_of(OptimizerConfig),
}


def finetune(
    config: Config,
    output_dir: str | Path,
    *,
    tracking_uri: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
    worker: Worker = ALONE,
    profile: ProfiledSteps | None = None,
) -> dict[str, float]:
    """Train a classifier and write its model folder, metrics and confusion matrix.

    Encoder, architecture and tokenizer are those of `finetuning.pretrained`; with
    `finetuning.from_scratch` the weights are random, and without a pretrained folder the
    architecture is `model` and the tokenizer `tokenizer.vocabulary`. Returns the metrics on
    `finetuning.eval_path`: loss, accuracy and F1 (macro; for two classes also the second one's).

    Raises:
        ValueError: data, model folder and configuration do not fit together; nothing was
            written then.
        ProfileRangeError: `profile` names steps that the run will not train; nothing was written.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
        LostWorkerError: another worker has gone; likewise.
    """
    output_dir, section = Path(output_dir), config.finetuning
    strategy = make_strategy(
        num_logical_devices=section.training.num_logical_devices, worker=worker
    )
    check_batch_size(section.training, strategy)
    train_data, eval_data = _read_data(section)
    tokenizer, description = _describe(config, train_data)
    check_labels(eval_data, class_names=list(description.class_names))
    policy = dtype_policy(section.training.precision)
    num_examples = len(train_data.texts)
    num_steps = math.ceil(section.num_epochs * num_examples / section.training.batch_size)
    settings = _settings(config, train_data, description, tokenizer=tokenizer)
    profiler = open_profiler(
        profile if worker.is_chief else None,
        output_dir,
        first_step=newest_step(output_dir),
        num_steps=num_steps,
    )
    without_paths = section.model_dump(
        mode="json", exclude={"train_path", "eval_path", "pretrained"}
    )
    check_same_settings(
        settings | {"version": __version__, "finetuning": without_paths}, strategy, worker
    )
    bind_settings(
        output_dir,
        settings | {"num_steps": num_steps},
        implied=_IMPLIED_SETTINGS,
        is_writer=worker.is_chief,
    )
    resolved = config.model_copy(
        update={
            "model": description.architecture,
            "tokenizer": config.tokenizer.model_copy(update=tokenizer.settings),
        }
    )
    with (
        report_run(
            resolved,
            output_dir,
            stage="finetune",
            tracking_uri=tracking_uri,
            is_writer=worker.is_chief,
        ) as log,
        lost_workers_named(worker),
    ):
        if worker.is_chief:
            tokenizer.save(output_dir)
            profile_path = Path(output_dir) / PROFILE_FILE
            seen = profile_texts(train_data, tokenizer, max_seq_length=description.max_seq_length)
            write_whole(profile_path, seen.as_json())
        log.log_files("vocab.txt", "tokenizer.json", PROFILE_FILE)
        log.log_provenance(
            stage="finetune",
            inputs=[
                file_input(role, str(path), num_examples=len(data.texts))
                for role, path, data in (
                    ("train", section.train_path, train_data),
                    ("eval", section.eval_path, eval_data),
                )
            ],
            vocabulary_sha256=tokenizer.vocabulary_sha256,
            parent=section.pretrained,
        )
        keras.utils.set_random_seed(config.seed)
        with strategy.scope():
            model = build_model(
                description, dtype=policy, rematerialize=section.training.rematerialize
            )
            if not section.from_scratch:
                load_encoder(model, str(section.pretrained))

        @functools.cache  # texts are tokenised once
        def eval_batches(**worker: int) -> tf.data.Dataset:
            return evaluation_data(
                eval_data,
                description,
                tokenizer=tokenizer,
                batch_size=section.training.batch_size,
                group_by_length=section.group_by_length,
                **worker,
            )

        phase = Phase(
            num_steps=num_steps,
            batch_size=section.training.batch_size,
            accumulation_steps=section.training.accumulation_steps,
            train_batches=_training_batches(config, train_data, description, tokenizer=tokenizer),
            eval_batches=eval_batches,
        )
        metrics = train(
            Run(
                model=model,
                objective=ClassificationObjective(),
                strategy=strategy,
                config=section.training,
                phases=(phase,),
                seed=config.seed,
                output_dir=output_dir,
                worker=worker,
                log_metrics=log.log_metrics,
                on_progress=on_progress,
                is_stop_requested=is_stop_requested,
                profiler=profiler,
            )
        )
        if worker.is_chief:
            metrics |= report_classes(model, eval_batches(), description.class_names, output_dir)
            save_model(model, description, output_dir)
            log.log_files(CONFUSION_MATRIX_FILE, "model.json")
            log.finish(metrics)
    wait_for_all(strategy, worker)
    return metrics


def evaluation_data(
    data: LabelledText,
    description: ModelDescription,
    *,
    tokenizer: Tokenizer,
    batch_size: int,
    group_by_length: bool = False,
    **worker: int,
) -> tf.data.Dataset:
    """One pass over labelled texts as the model was trained to read them; tokenised once.

    In order, or the longest first, which is faster; labels go with their texts either way.
    `worker`: see `classification_batches`.
    """
    return classification_batches(
        data,
        tokenizer=tokenizer,
        class_names=list(description.class_names),
        max_seq_length=description.max_seq_length,
        batch_size=batch_size,
        group_by_length=group_by_length,
        is_training=False,
        **worker,
    )


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


def _describe(config: Config, train_data: LabelledText) -> tuple[Tokenizer, ModelDescription]:
    section = config.finetuning
    if section.from_scratch and section.pretrained is None:
        vocabulary = required(
            config.tokenizer.vocabulary,
            key="finetuning.pretrained or tokenizer.vocabulary",
            what="a folder with vocab.txt",
        )
        tokenizer = Tokenizer.load(vocabulary, config.tokenizer)
        architecture = with_vocab_size(config.model, tokenizer.vocab_size)
    else:
        folder = required(
            section.pretrained,
            key="finetuning.pretrained",
            what="a folder that `bert-tf pretrain` or `bert-tf convert` wrote",
        )
        tokenizer = Tokenizer.load(folder)
        stored = load_description(folder).architecture
        architecture = with_stored_architecture(config.model, stored)
    if section.max_seq_length > architecture.max_position_embeddings:
        raise ValueError(
            "finetuning.max_seq_length must be at most the model's max_position_embeddings. "
            f"Received: {section.max_seq_length} and {architecture.max_position_embeddings}. "
            "Lower finetuning.max_seq_length."
        )
    names = class_names(train_data.labels)
    if len(names) < 2:
        raise ValueError(
            f"{section.train_path}: a classifier needs two classes or more. Received: {names}. "
            "Is finetuning.label_field the right column?"
        )
    return tokenizer, ModelDescription(
        kind="classification",
        architecture=architecture,
        max_seq_length=section.max_seq_length,
        class_names=tuple(names),
        has_text_pairs=train_data.text_pairs is not None,
        classifier_dropout_prob=section.classifier_dropout_prob,
    )


def _training_batches(
    config: Config, data: LabelledText, description: ModelDescription, *, tokenizer: Tokenizer
) -> Callable[..., tf.data.Dataset]:
    """Step -> endless batches from that step on; takes num_workers and worker_index, too."""

    def batches_from(step: int, **worker: int) -> tf.data.Dataset:
        return classification_batches(
            data,
            tokenizer=tokenizer,
            class_names=list(description.class_names),
            max_seq_length=description.max_seq_length,
            batch_size=config.finetuning.training.batch_size,
            group_by_length=config.finetuning.group_by_length,
            seed=config.seed,
            is_training=True,
            start_step=step,
            **worker,
        )

    return batches_from


def _settings(
    config: Config, train_data: LabelledText, description: ModelDescription, *, tokenizer: Tokenizer
) -> dict[str, object]:
    section = config.finetuning
    return {
        "seed": config.seed,
        "description": description.model_dump(mode="json"),
        "weights_sha256": (
            None if section.from_scratch else weights_sha256(str(section.pretrained))
        ),
        "vocabulary_sha256": _digest(tokenizer.vocabulary),
        "tokenizer": tokenizer.settings,
        "train_data_sha256": _digest([train_data.texts, train_data.text_pairs, train_data.labels]),
        "batch_size": section.training.batch_size,
        "group_by_length": section.group_by_length,
        "optimizer": section.training.optimizer.model_dump(mode="json"),
        "precision": dtype_policy(section.training.precision),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()
