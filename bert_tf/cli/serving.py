"""`bert-tf serving`: which version TF Serving answers with, on a directory of exports."""

import json
from typing import Any

import click

from bert_tf.cli.process import show_errors


@click.group()
def serving() -> None:
    """Labels of served versions: set, roll back, prune."""


def _of_models(command: Any) -> Any:
    for option in (
        click.option("--model-dir", type=click.Path(), help="BASE/NAME, seen from here."),
        click.option("--name", required=True, help="Of the model in that file."),
        click.option(
            "--models-config", required=True, type=click.Path(), help="TF Serving's models.config."
        ),
    ):
        command = option(command)
    return serving.command()(command)


@_of_models
@click.option("--label", default="stable", show_default=True)
@click.option("--version", required=True, type=click.IntRange(1))
def label(models_config: str, name: str, model_dir: str | None, label: str, version: int) -> None:
    """Let a label stand for a version: `…/models/NAME/labels/LABEL` asks it."""
    with show_errors():
        from bert_tf.exporting.rollout import set_label

        before = set_label(
            models_config, name=name, label=label, version=version, model_dir=model_dir
        )
        click.echo(f"{name}: {label} is version {version} (before: {before or 'none'})")


@_of_models
@click.option("--label", default="stable", show_default=True)
def rollback(models_config: str, name: str, model_dir: str | None, label: str) -> None:
    """Let a label stand again for the version before its last change."""
    with show_errors():
        from bert_tf.exporting.rollout import roll_back

        version = roll_back(models_config, name=name, label=label, model_dir=model_dir)
        click.echo(f"{name}: {label} is version {version} again")


@_of_models
def labels(models_config: str, name: str, model_dir: str | None) -> None:
    """The labels of a model, as JSON."""
    with show_errors():
        from bert_tf.exporting.rollout import read_labels

        click.echo(json.dumps(read_labels(models_config, name=name)))


@serving.command()
@click.option("--model-dir", required=True, type=click.Path(), help="BASE/NAME.")
@click.option("--keep", default=3, show_default=True, type=click.IntRange(1), help="Of the newest.")
@click.option("--models-config", type=click.Path(), help="Versions that it labels stay.")
@click.option("--name", help="Of the model in that file.")
def prune(model_dir: str, keep: int, models_config: str | None, name: str | None) -> None:
    """Remove old versions that no label points to."""
    if (models_config is None) != (name is None):
        raise click.UsageError("--models-config needs --name, and the other way round.")
    with show_errors():
        from bert_tf.exporting.rollout import prune as remove

        gone = remove(model_dir, keep=keep, models_config=models_config, name=name or "")
        click.echo(f"{model_dir}: removed {', '.join(map(str, gone)) or 'nothing'}")
