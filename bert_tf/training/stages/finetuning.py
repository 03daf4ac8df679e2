"""`bert-tf finetune`: labelled examples and a pretrained encoder in, a model of their task out."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bert_tf.config import Config, FinetuningConfig, ModelConfig, OptimizerConfig, required
from bert_tf.data.batches.labelled import ExampleBatches
from bert_tf.data.inspection.text_profile import PROFILE_FILE
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.bert import with_vocab_size
from bert_tf.models.description import ModelDescription, load_description, weights_sha256
from bert_tf.system.files import write_whole
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import open_task
from bert_tf.tracking.provenance import HELD_OUT_ROLE, DataInput, table_inputs
from bert_tf.training.engine.loop import Phase, Progress
from bert_tf.training.engine.settings import defaults_of
from bert_tf.training.engine.strategy import make_strategy
from bert_tf.training.measuring.profiled_steps import ProfiledSteps
from bert_tf.training.stages.held_out import HeldOut
from bert_tf.training.stages.stage import Ended, Stage, owning_its_folder, run_stage
from bert_tf.training.stages.training_data import (
    TrainingData,
    open_training_data,
    read_examples,
)
from bert_tf.training.workers.tf_config import ALONE, Worker

# Settings that a run without them had: `settings.json` of older runs lacks them.
_IMPLIED_SETTINGS = {
    "description": defaults_of(ModelDescription) | {"architecture": defaults_of(ModelConfig)},
    "group_by_length": False,
    "optimizer": defaults_of(OptimizerConfig),
    "task": {},
}
_PATHS = {"train_path", "eval_path", "pretrained"}


@owning_its_folder
def finetune(
    config: Config,
    output_dir: str | Path,
    *,
    train: Any = None,
    held_out: Any = None,
    tracking_uri: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
    worker: Worker = ALONE,
    profile: ProfiledSteps | None = None,
) -> dict[str, float]:
    """Train a model of `finetuning.task` and write its folder, metrics and report.

    Encoder, architecture and tokenizer are those of `finetuning.pretrained`; with
    `finetuning.from_scratch` the weights are random, and without a pretrained folder the
    architecture is `model` and the tokenizer `tokenizer.vocabulary`. Returns the task's metrics on
    the held-out examples, with intervals.

    Args:
        train: examples in the place of `finetuning.train_path`: whatever `read_table` takes, such
            as a DataFrame.
        held_out: likewise, of `finetuning.eval_path`.

    Raises:
        ValueError: data, model folder and configuration do not fit together; nothing was
            written then.
        ProfileRangeError: `profile` names steps that the run will not train; nothing was written.
        TrainingInterruptedError: a stop was requested; the same call goes on from there.
        LostWorkerError: another worker has gone; likewise.
    """
    section = config.finetuning
    strategy = make_strategy(
        num_logical_devices=section.training.num_logical_devices, worker=worker
    )
    task = open_task(section)
    training_data = open_training_data(task, _given(train, section, "train_path"), section)
    source = _given(held_out, section, "eval_path")
    held_out_examples = read_examples(
        task.read_held_out, source, section, key="finetuning.eval_path"
    )
    inputs = table_inputs(HELD_OUT_ROLE, source, held_out_examples.table)
    num_replicas = strategy.num_replicas_in_sync
    stage = _make_stage(
        config, task, training_data, held_out_examples, inputs, num_replicas=num_replicas
    )
    if worker.is_chief:
        training_data.log(held_out_examples)
    return run_stage(
        stage,
        Path(output_dir),
        strategy=strategy,
        tracking_uri=tracking_uri,
        on_progress=on_progress,
        is_stop_requested=is_stop_requested,
        worker=worker,
        profile=profile,
    )


def _given(value: Any, section: FinetuningConfig, name: str) -> Any:
    """What was given in the place of a path, else the path."""
    if value is not None:
        return value
    what = "a table of labelled examples"
    return required(getattr(section, name), key=f"finetuning.{name}", what=what)


def _make_stage(
    config: Config,
    task: Task,
    train: TrainingData,
    examples: Examples,
    held_out_inputs: list[DataInput],
    *,
    num_replicas: int,
) -> Stage:
    section = config.finetuning
    tokenizer, description = _describe(config, task, train)
    encoded = train.encode(description, tokenizer=tokenizer)
    held_out = HeldOut(
        task,
        examples,
        description,
        tokenizer=tokenizer,
        batch_size=section.training.batch_size,
        group_by_length=section.group_by_length,
        num_replicas=num_replicas,
    )
    batches = task.batches(
        encoded,
        batch_size=section.training.batch_size,
        group_by_length=section.group_by_length,
        num_parts=num_replicas * section.training.accumulation_steps,
    )
    phase = _phase(config, batches, held_out)

    def load_weights(model: keras.Model) -> None:
        if not section.from_scratch:
            task.load_pretrained(model, str(section.pretrained))

    def begin(output_dir: Path) -> Iterable[str]:
        write_whole(output_dir / PROFILE_FILE, train.profile(encoded).as_json())
        return (PROFILE_FILE,)

    def end(metrics: dict[str, float], output_dir: Path) -> Ended:
        tuned = held_out.tuned()
        report = held_out.report(output_dir)
        return Ended(metrics={**metrics, **report.metrics}, description=tuned, files=report.files)

    settings = _settings(config, task, train, description, tokenizer=tokenizer)
    return Stage(
        name="finetune",
        config=_resolved(config, task, description, tokenizer),
        training=section.training,
        description=description,
        tokenizer=tokenizer,
        pretrained=section.pretrained,
        load_weights=load_weights,
        objective=task.objective(description),
        phases=(phase,),
        settings=settings | {"num_steps": phase.num_steps},
        implied_settings=_IMPLIED_SETTINGS,
        shared={"finetuning": section.model_dump(mode="json", exclude=_PATHS)},
        inputs=[*train.inputs, *held_out_inputs],
        begin=begin,
        end=end,
        rate=held_out.rate,
        predict=held_out.predict,
        head_flops=task.head_flops(description),
    )


def _phase(config: Config, batches: ExampleBatches, held_out: HeldOut) -> Phase:
    """All epochs."""

    def train_batches(step: int, **worker: int) -> tf.data.Dataset:
        return batches.training(seed=config.seed, start_step=step, **worker)

    return Phase(
        num_steps=batches.num_steps(config.finetuning.num_epochs),
        batch_size=batches.batch_size,
        accumulation_steps=config.finetuning.training.accumulation_steps,
        train_batches=train_batches,
        eval_batches=held_out.batches,
        is_filled_up=batches.is_filled_up,
    )


def _describe(
    config: Config, task: Task, train: TrainingData
) -> tuple[Tokenizer, ModelDescription]:
    section = config.finetuning
    if section.from_scratch and section.pretrained is None:
        vocabulary = required(
            config.tokenizer.vocabulary,
            key="finetuning.pretrained or tokenizer.vocabulary",
            what="a folder with vocab.txt or spm.model",
        )
        tokenizer = Tokenizer.load(vocabulary, config.tokenizer)
        inherited = task.inherited(None)
        architecture = with_vocab_size(config.model, tokenizer.vocab_size)
    else:
        folder = required(
            section.pretrained,
            key="finetuning.pretrained",
            what="a folder that `bert-tf pretrain` or `bert-tf convert` wrote",
        )
        stored = load_description(folder)
        tokenizer = Tokenizer.load(folder)
        architecture = task.architecture(config.model, stored.architecture)
        inherited = task.inherited(stored)
    if section.max_seq_length > architecture.max_position_embeddings:
        raise ValueError(
            "finetuning.max_seq_length must be at most the model's max_position_embeddings. "
            f"Received: {section.max_seq_length} and {architecture.max_position_embeddings}. "
            "Lower finetuning.max_seq_length."
        )
    if section.window_stride is not None and section.window_stride > section.max_seq_length - 2:
        raise ValueError(
            "finetuning.window_stride must be at most the tokens of a window, "
            f"{section.max_seq_length - 2}: otherwise some would be in none. Received: "
            f"{section.window_stride}. Lower it, or raise finetuning.max_seq_length."
        )
    return tokenizer, ModelDescription(
        kind=task.name,
        architecture=architecture,
        max_seq_length=section.max_seq_length,
        max_windows=section.max_windows or task.default_max_windows,
        window_stride=section.window_stride,
        window_join=section.window_join,
        has_text_pairs=train.has_text_pairs,
        classifier_dropout_prob=section.classifier_dropout_prob,
        **inherited | train.learn(),
    )


def _resolved(
    config: Config, task: Task, description: ModelDescription, tokenizer: Tokenizer
) -> Config:
    """The configuration as the run uses it, whatever was left open filled in."""
    options = config.finetuning.task.with_options(task.settings.model_dump(mode="json"))
    return config.model_copy(
        update={
            "model": description.architecture,
            "tokenizer": config.tokenizer.model_copy(update=tokenizer.settings),
            "finetuning": task.with_default_fields(config.finetuning).model_copy(
                update={"task": options}
            ),
        }
    )


def _settings(
    config: Config,
    task: Task,
    train: TrainingData,
    description: ModelDescription,
    *,
    tokenizer: Tokenizer,
) -> dict[str, object]:
    section = config.finetuning
    return {
        "seed": config.seed,
        "description": description.model_dump(mode="json"),
        "weights_sha256": (
            None if section.from_scratch else weights_sha256(str(section.pretrained))
        ),
        "vocabulary_sha256": tokenizer.tokens_sha256,
        "tokenizer": tokenizer.settings,
        "train_data_sha256": train.sha256,
        "batch_size": section.training.batch_size,
        "group_by_length": section.group_by_length,
        "optimizer": section.training.optimizer.model_dump(mode="json"),
        "task": task.settings.model_dump(mode="json", exclude_defaults=True),
    }
