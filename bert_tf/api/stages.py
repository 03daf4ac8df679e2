"""The stages as functions: the same settings as of the command line, tables and frames for files.

Each takes `config` (see `bert_tf.load_config`), or none, and the settings of its own section as
keyword arguments, with dicts for sections in it, such as `training={"batch_size": 8}`. Errors are
those of the stages: ValueError and FileNotFoundError with what must hold, what was received and
what to do.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert_tf.api.loaded import LoadedModel, load
from bert_tf.api.progress import progress
from bert_tf.config import Config, validate_config
from bert_tf.system.environment import library_environment


def vocab(
    *,
    output_dir: str | Path,
    config: Config | None = None,
    show_progress: bool = True,
    **corpus: Any,
) -> Any:
    """Learn a WordPiece vocabulary from text; returns the tokenizer (`data.text.tokenizer`).

    `corpus`: settings of the section `corpus`, such as `paths=["texts/"]`. The vocabulary's own are
    in the configuration: `config=bert_tf.Config(vocabulary={"size": 8000})`.
    """
    _prepare_process()
    from bert_tf.data.text.learning import learn_tokenizer

    with progress(is_shown=show_progress) as show:
        return learn_tokenizer(_with_settings(config, corpus=corpus), output_dir, on_progress=show)


def prepare(
    *,
    output_dir: str | Path,
    config: Config | None = None,
    show_progress: bool = True,
    **corpus: Any,
) -> Any:
    """Text as records of sentence pairs for pretraining; returns their manifest.

    `corpus`: as of `vocab`. The vocabulary is `tokenizer.vocabulary` of the configuration.
    """
    _prepare_process()
    from bert_tf.data.preparation.prepare import prepare_records

    with progress(is_shown=show_progress) as show:
        return prepare_records(_with_settings(config, corpus=corpus), output_dir, on_progress=show)


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
    _prepare_process()
    from bert_tf.cli.progress import progress_shown
    from bert_tf.training.stages.pretraining import pretrain as train

    with progress(is_shown=show_progress) as show:
        train(
            _with_settings(config, pretraining=pretraining),
            output_dir,
            tracking_uri=_tracking_uri(tracking_uri),
            on_progress=progress_shown(show, "pretrain"),
        )
    return load(output_dir)


def finetune(
    *,
    train: Any,
    held_out: Any,
    output_dir: str | Path,
    task: str | Mapping[str, Any] | None = None,
    pretrained: str | Path | None = None,
    config: Config | None = None,
    tracking_uri: str | None = None,
    show_progress: bool = True,
    **finetuning: Any,
) -> LoadedModel:
    """Train a model of a task on labelled examples and load it; `.metrics` are of `held_out`.

    A run that was interrupted goes on from its newest checkpoint.

    Args:
        train: a DataFrame, a `datasets.Dataset`, a list of dicts, or the names of files.
        held_out: likewise: what metrics are measured on.
        task: a name, or a dict of `name` and the task's settings; see docs/tasks.md. Default: that
            of the configuration, which is `classification` unless it says otherwise.
        pretrained: the folder of the encoder.
        tracking_uri: as of `pretrain`.
        finetuning: other settings of that section, such as `text_field`, `num_epochs`.
    """
    _prepare_process()
    from bert_tf.cli.progress import progress_shown
    from bert_tf.training.stages.finetuning import finetune as train_stage

    section = dict(finetuning)
    if task is not None:
        section["task"] = {"name": task} if isinstance(task, str) else dict(task)
    if pretrained is not None:
        section["pretrained"] = str(pretrained)
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
            _with_settings(config, finetuning=section),
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
    output_dir: str | Path,
    config: Config | None = None,
    tracking_uri: str | None = None,
    **finetuning: Any,
) -> dict[str, float]:
    """Metrics of a model folder on labelled examples (or records), with intervals.

    Picture, table and `metrics.json` are written into `output_dir`.

    Args:
        data: as `finetune` takes it.
        finetuning: settings that say how examples are read, such as `text_field`.
    """
    _prepare_process()
    from bert_tf.training.stages.evaluation import evaluate_model

    folder = model.folder if isinstance(model, LoadedModel) else Path(model)
    configured = _with_settings(config, finetuning=finetuning, evaluation={"model": str(folder)})
    source = data if isinstance(data, str | Path) else _names(data) or data
    return evaluate_model(
        configured,
        output_dir,
        data=str(source) if isinstance(source, Path) else source,
        tracking_uri=_tracking_uri(tracking_uri),
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
    _prepare_process()
    from bert_tf.exporting.saved_model import export_model

    folder = model.folder if isinstance(model, LoadedModel) else Path(model)
    return export_model(
        _with_settings(config, export={**settings, "model": str(folder)}), output_dir
    )


def _with_settings(config: Config | None, **sections: Mapping[str, Any]) -> Config:
    """The configuration with some settings of its sections replaced, checked as a file's are."""
    tree = {} if config is None else config.model_dump(mode="json", exclude_unset=True)
    return validate_config(_merged(tree, sections), origin="settings")


def _merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(tree)
    for name, value in changes.items():
        before = merged.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and name != "task":
            value = _merged(before, value)
        merged[name] = value
    return merged


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


def _prepare_process() -> None:
    """What libraries are told before they are imported; a value that is set stays."""
    os.environ.update(library_environment())
