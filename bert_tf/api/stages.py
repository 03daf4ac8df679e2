"""The stages as functions: the same settings as of the command line, tables and frames for files.

Each takes `config` (see `bert_tf.load_config`), or none, and the settings of its own section as
keyword arguments, with dicts for sections in it, such as `training={"batch_size": 8}`. Errors are
those of the stages: ValueError and FileNotFoundError with what must hold, what was received and
what to do.
"""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf.api.loaded import LoadedModel, model_folder
from bert_tf.api.loading import load
from bert_tf.api.process import prepare_process
from bert_tf.api.progress import progress
from bert_tf.api.settings import task_settings, with_settings
from bert_tf.config import Config

if TYPE_CHECKING:
    from bert_tf.tasks.base import Task


def vocab(
    *,
    output_dir: str | Path,
    config: Config | None = None,
    show_progress: bool = True,
    **corpus: Any,
) -> Any:
    """Learn a vocabulary from text; returns the tokenizer (`data.text.tokenizer`).

    `corpus`: settings of the section `corpus`, such as `paths=["texts/"]`. The vocabulary's own are
    in the configuration: `config=bert_tf.Config(vocabulary={"size": 8000})`.
    """
    prepare_process()
    from bert_tf.data.text.learning import learn_tokenizer

    with progress(is_shown=show_progress) as show:
        return learn_tokenizer(with_settings(config, corpus=corpus), output_dir, on_progress=show)


def prepare(
    *,
    output_dir: str | Path,
    config: Config | None = None,
    show_progress: bool = True,
    **corpus: Any,
) -> Any:
    """Text as records of sentence pairs for pretraining; returns their manifest.

    `corpus`: as of `vocab`. The vocabulary is `tokenizer.vocabulary` of the configuration. With
    `parallel.paths` in it the records are of pairs of a source and a target instead.
    """
    prepare_process()
    from bert_tf.data.preparation.parallel import prepare_parallel
    from bert_tf.data.preparation.prepare import prepare_records

    config = with_settings(config, corpus=corpus)
    with progress(is_shown=show_progress) as show:
        if config.parallel.paths:
            return prepare_parallel(config, output_dir, on_progress=show)
        return prepare_records(config, output_dir, on_progress=show)


def pretrain(
    *,
    output_dir: str | Path,
    config: Config | None = None,
    tracking_uri: str | None = None,
    show_progress: bool = True,
    **pretraining: Any,
) -> LoadedModel:
    """Pretrain on records, such as `records="runs/records"`, and load the model.

    A run that was interrupted goes on from its newest checkpoint.

    Args:
        tracking_uri: of MLflow. Default: `MLFLOW_TRACKING_URI`, or `sqlite:///mlflow.db`.
        pretraining: settings of that section.
    """
    prepare_process()
    from bert_tf.cli.progress import progress_shown
    from bert_tf.training.stages.pretraining import pretrain as train

    with progress(is_shown=show_progress) as show:
        train(
            with_settings(config, pretraining=pretraining),
            output_dir,
            tracking_uri=_tracking_uri(tracking_uri),
            on_progress=progress_shown(show, "pretrain"),
        )
    return load(output_dir)


def finetune(
    *,
    output_dir: str | Path,
    train: Any = None,
    held_out: Any = None,
    task: "str | Mapping[str, Any] | Task | type[Task] | None" = None,
    pretrained: str | Path | LoadedModel | None = None,
    config: Config | None = None,
    tracking_uri: str | None = None,
    show_progress: bool = True,
    **finetuning: Any,
) -> LoadedModel:
    """Train a model of a task on labelled examples and load it; `.metrics` are of `held_out`.

    A run that was interrupted goes on from its newest checkpoint.

    Args:
        train: a DataFrame, a `datasets.Dataset`, a list of dicts, or the names of files. Default:
            the files that the configuration names.
        held_out: likewise: what metrics are measured on.
        task: a name, a dict of `name` and the task's settings (see docs/tasks.md), or a class or an
            instance of a `Task` of a module. Default: that of the configuration, which is
            `classification` unless it says otherwise.
        pretrained: the folder of the encoder, or what `pretrain` gave.
        tracking_uri: as of `pretrain`.
        finetuning: other settings of that section, such as `text_field`, `num_epochs`.
    """
    prepare_process()
    from bert_tf.cli.progress import progress_shown
    from bert_tf.training.stages.finetuning import finetune as train_stage

    section = dict(finetuning)
    if task is not None:
        section["task"] = task_settings(task)
    if pretrained is not None:
        section["pretrained"] = model_folder(pretrained)
    given = {}
    for key, argument, source in (
        ("train_path", "train", train),
        ("eval_path", "held_out", held_out),
    ):
        names = _names(source)
        if names is None:
            given[argument] = source
        else:
            section[key] = names
    with progress(is_shown=show_progress) as show:
        train_stage(
            with_settings(config, finetuning=section),
            output_dir,
            tracking_uri=_tracking_uri(tracking_uri),
            on_progress=progress_shown(show, "finetune"),
            **given,
        )
    return load(output_dir)


def evaluate(
    model: str | Path | LoadedModel,
    data: Any,
    *,
    output_dir: str | Path | None = None,
    config: Config | None = None,
    tracking_uri: str | None = None,
    **finetuning: Any,
) -> dict[str, float]:
    """Metrics of a model folder on labelled examples (or records), with intervals.

    Args:
        data: as `finetune` takes it.
        output_dir: for picture, table and `metrics.json`. Default: they are not kept.
        finetuning: settings that say how examples are read, such as `text_field`. Default: the
            columns that the model was trained on.
    """
    prepare_process()
    from bert_tf.training.stages.evaluation import evaluate_model

    folder = model_folder(model)
    is_set = set(config.finetuning.model_fields_set) if config else set()
    fields = load(folder).training_fields
    section = {name: field for name, field in fields.items() if name not in is_set} | finetuning
    with contextlib.ExitStack() as stack:
        return evaluate_model(
            with_settings(config, finetuning=section, evaluation={"model": folder}),
            output_dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="bert_tf-")),
            data=data if (names := _names(data)) is None else names,
            tracking_uri=_tracking_uri(tracking_uri),
        )


def benchmark(
    name: str,
    *,
    model: str | Path | LoadedModel,
    data: str | Path,
    output_dir: str | Path,
    sets: Sequence[str] | None = None,
    seeds: Sequence[int] = (42,),
    learning_rates: Sequence[float] = (),
    batch_sizes: Sequence[int] = (),
    epochs: Sequence[float] = (),
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    config: Config | None = None,
    tracking_uri: str | None = None,
    show_progress: bool = True,
    **finetuning: Any,
) -> dict[str, Any]:
    """Fine-tune a model on each set of `glue` or `klue`; what `results.json` has.

    The table is `results.md` in `output_dir`. A call that was interrupted goes on with the runs
    that are not finished.

    Args:
        data: a folder with the sets' files, as they are published.
        sets: those to measure. Default: the benchmark's that are there.
        seeds: a run each; the table has mean and standard deviation.
        learning_rates, batch_sizes, epochs: to try; each set's best is reported.
        overrides: of a set by its name, settings that differ from its recipe's.
        tracking_uri: as of `pretrain`.
        finetuning: settings of that section for all sets.
    """
    prepare_process()
    from bert_tf.benchmark_tables.benchmark import run_benchmark
    from bert_tf.benchmark_tables.plan import Options

    options = Options(
        model=str(model_folder(model)),
        seeds=seeds,
        learning_rates=learning_rates,
        batch_sizes=batch_sizes,
        epochs=epochs,
        overrides=overrides or {},
    )
    with progress(is_shown=show_progress) as show:
        return run_benchmark(
            name,
            options,
            data=data,
            output_dir=output_dir,
            config=with_settings(config, finetuning=finetuning),
            sets=sets,
            tracking_uri=_tracking_uri(tracking_uri),
            show=show,
        )


def export(
    model: str | Path | LoadedModel,
    *,
    output_dir: str | Path,
    config: Config | None = None,
    **settings: Any,
) -> Path:
    """Write a model folder as the next SavedModel version below `output_dir`; its path.

    `settings`: of the section `export`, such as `precision="bfloat16"`.
    """
    prepare_process()
    from bert_tf.exporting.saved_model import export_model

    section = {**settings, "model": model_folder(model)}
    return export_model(with_settings(config, export=section), output_dir)


def _names(source: Any) -> str | list[str] | None:
    """Of files; None of what is in memory."""
    if isinstance(source, str | Path):
        return str(source)
    is_list = isinstance(source, list | tuple) and len(source) > 0
    if is_list and all(isinstance(name, str | Path) for name in source):
        return [str(name) for name in source]
    return None


def _tracking_uri(given: str | None) -> str:
    from bert_tf.cli.process import tracking_uri

    return given or tracking_uri()
