"""`bert-tf serving`: which versions TF Serving loads, and which its labels stand for."""

import json
from typing import Any

import click

from bert_tf.exporting.rollout import MAX_LOADED, STABLE
from bert_tf.exporting.version_folders import listed_versions


@click.group()
def serving() -> None:
    """Versions and labels that servers have: load, label, roll back, prune."""


_CONFIG_AND_NAME = (
    click.option(
        "--models-config",
        required=True,
        type=click.Path(),
        help="TF Serving's models.config, BASE/config/models.config.",
    ),
    click.option("--name", required=True, help="Of the model in that file."),
)
_MODEL_DIR = click.option(
    "--model-dir",
    type=click.Path(),
    help="Where the versions are, seen from here; by default the file's base_path.",
)
_SERVER = click.option(
    "--server",
    help="http://HOST:8501; a name with several addresses means all of them. Refuse the change "
    "unless every server has the version.",
)
_LABEL = click.option("--label", default=STABLE, show_default=True)
_VERSION = click.option("--version", required=True, type=click.IntRange(1))


def _command(*options: Any) -> Any:
    def decorate(command: Any) -> Any:
        for option in reversed((*_CONFIG_AND_NAME, *options)):
            command = option(command)
        return serving.command()(command)

    return decorate


@_command(
    _VERSION,
    _MODEL_DIR,
    click.option("--base-path", help="As servers see it: adds a model that is not in the file."),
    click.option(
        "--max-loaded",
        default=MAX_LOADED,
        show_default=True,
        type=click.IntRange(1),
        help="Versions that fit into a server's memory.",
    ),
)
def load(
    models_config: str,
    name: str,
    version: int,
    model_dir: str | None,
    base_path: str | None,
    max_loaded: int,
) -> None:
    """Let servers load a version beside those they have."""
    from bert_tf.exporting.rollout import load_version

    loaded = load_version(
        models_config,
        name=name,
        version=version,
        model_dir=model_dir,
        base_path=base_path,
        max_loaded=max_loaded,
    )
    click.echo(f"{name}: servers load {listed_versions(loaded)}")


@_command(_VERSION)
def unload(models_config: str, name: str, version: int) -> None:
    """Let servers unload a version that no label stands for."""
    from bert_tf.exporting.rollout import unload_version

    loaded = unload_version(models_config, name=name, version=version)
    click.echo(f"{name}: servers keep {listed_versions(loaded)}")


@_command(_LABEL, _VERSION, _MODEL_DIR, _SERVER)
def label(
    models_config: str,
    name: str,
    label: str,
    version: int,
    model_dir: str | None,
    server: str | None,
) -> None:
    """Let a label stand for a loaded version: `…/models/NAME/labels/LABEL` asks it."""
    from bert_tf.exporting.rollout import set_label
    from bert_tf.exporting.served_versions import check_served

    if server is not None:
        check_served(server, name=name, version=version)
    before = set_label(models_config, name=name, label=label, version=version, model_dir=model_dir)
    click.echo(f"{name}: {label} is version {version} (before: {before or 'none'})")


@_command(click.option("--label", required=True))
def unlabel(models_config: str, name: str, label: str) -> None:
    """Take a label away; servers unload what it alone needed."""
    from bert_tf.exporting.rollout import remove_label

    loaded = remove_label(models_config, name=name, label=label)
    click.echo(f"{name}: no label {label}; servers keep {listed_versions(loaded)}")


@_command(_LABEL, _MODEL_DIR)
def rollback(models_config: str, name: str, label: str, model_dir: str | None) -> None:
    """Let a label stand again for the version before its last change."""
    from bert_tf.exporting.rollout import roll_back

    version = roll_back(models_config, name=name, label=label, model_dir=model_dir)
    click.echo(f"{name}: {label} is version {version} again")


@_command()
def labels(models_config: str, name: str) -> None:
    """The labels of a model, as JSON."""
    from bert_tf.exporting.rollout import read_labels

    click.echo(json.dumps(read_labels(models_config, name=name)))


@_command(
    click.option("--server", required=True, help="http://HOST:8501; of several addresses, all."),
    click.option(
        "--timeout-seconds", default=300.0, show_default=True, type=click.FloatRange(min=0)
    ),
)
def wait(models_config: str, name: str, server: str, timeout_seconds: float) -> None:
    """Wait until every server has the versions and labels of the file."""
    from bert_tf.exporting.rollout import read_labels, read_loaded
    from bert_tf.exporting.served_versions import wait_until_served

    loaded = read_loaded(models_config, name=name)
    labels = read_labels(models_config, name=name)
    num_servers = wait_until_served(
        server, name=name, versions=loaded, labels=labels, timeout_seconds=timeout_seconds
    )
    click.echo(
        f"{name}: {num_servers} of {num_servers} servers have {listed_versions(loaded)}"
        + "".join(f", {label} at {version}" for label, version in sorted(labels.items()))
    )


@serving.command()
@click.option("--model-dir", required=True, type=click.Path(), help="BASE/NAME.")
@click.option("--keep", default=3, show_default=True, type=click.IntRange(1), help="Of the newest.")
@click.option(
    "--models-config",
    type=click.Path(),
    help="What it names stays; by default BASE/config/models.config, if it is there.",
)
@click.option("--name", help="Of the model in that file.")
def prune(model_dir: str, keep: int, models_config: str | None, name: str | None) -> None:
    """Remove old versions that no server needs."""
    if (models_config is None) != (name is None):
        raise click.UsageError("--models-config needs --name, and the other way round.")
    from bert_tf.exporting.rollout import prune as remove

    gone = remove(model_dir, keep=keep, models_config=models_config, name=name or "")
    click.echo(f"{model_dir}: removed {', '.join(map(str, gone)) or 'nothing'}")
