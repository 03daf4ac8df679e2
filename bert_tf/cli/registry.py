"""`bert-tf registry …`: the commands of the model registry.

The server is `MLFLOW_TRACKING_URI`. Each command prints one line that says what is now where;
`list` prints a table in a terminal, else a line a version.
"""

import contextlib
import functools
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bert_tf.cli.process import tracking_uri

if TYPE_CHECKING:
    from rich.table import Table

    from bert_tf.registry import RegisteredVersion


@click.group()
def registry() -> None:
    """Versions of exported models in MLflow's registry.

    The server is MLFLOW_TRACKING_URI.
    """


def _refuse_number(_context: Any, _parameter: Any, alias: str | None) -> str | None:
    if alias is not None and alias.isdigit():
        raise click.BadParameter(f"an alias must not be a number. Received: {alias}.")
    return alias


def _checked(kind: Literal["name", "alias"]) -> Callable[..., str | None]:
    """A check of an option's value, made before the command begins."""

    def callback(_context: Any, _parameter: Any, value: str | None) -> str | None:
        from bert_tf.config.registry_names import check_alias, check_name

        check = check_name if kind == "name" else check_alias
        try:
            return None if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def choose_version(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose a version: a name, and an alias or a number."""

    @click.option("--name", required=True, help="Registered model.")
    @click.option("--alias", callback=_refuse_number, help="The version with this alias.")
    @click.option("--version", type=click.IntRange(min=1), help="The version with this number.")
    @functools.wraps(command)
    def run(*, alias: str | None, version: int | None, **options: Any) -> None:
        if (alias is None) == (version is None):
            raise click.UsageError("Give either --alias or --version.")
        command(alias_or_version=alias if version is None else version, **options)

    return run


@registry.command()
@click.option("--model", required=True, type=click.Path(), help="SavedModel, or BASE/NAME.")
@click.option(
    "--name",
    required=True,
    callback=_checked("name"),
    help="Registered model; made if there is none.",
)
@click.option(
    "--run-dir", type=click.Path(), help="Output folder of the training: its run, metrics, files."
)
@click.option(
    "--keep-model",
    "keeps_model",
    is_flag=True,
    help="Keep the model folder RUN_DIR in the version, too: training can go on from it.",
)
@click.option("--alias", callback=_checked("alias"), help="Alias the new version gets at once.")
def register(
    model: str, name: str, run_dir: str | None, keeps_model: bool, alias: str | None
) -> None:
    """Make a SavedModel the next version of NAME.

    Of a BASE/NAME folder, its highest number is taken.
    """
    if keeps_model and run_dir is None:
        raise click.UsageError("--keep-model needs --run-dir.")
    with connect() as tracking_uri:
        from bert_tf.exporting.version_folders import newest_version
        from bert_tf.registry import promote, read_training, register

        saved_model = newest_version(model)
        version = register(
            saved_model,
            name=name,
            tracking_uri=tracking_uri,
            model_dir=run_dir if keeps_model else None,
            **(read_training(run_dir, saved_model=saved_model) if run_dir else {}),
        )
        result = f"{name} version {version.version} is registered"
        if alias is not None:
            try:
                promote(name=name, version=version.version, alias=alias, tracking_uri=tracking_uri)
            except (ValueError, ConnectionError) as error:
                raise RuntimeError(f"{result}, but not as {alias}: {error}") from error
            result += f" as {alias}"
        click.echo(result)


@registry.command()
@click.option("--name", required=True, help="Registered model.")
@click.option("--version", required=True, type=click.IntRange(min=1))
@click.option("--alias", default="champion", show_default=True, callback=_checked("alias"))
def promote(name: str, version: int, alias: str) -> None:
    """Move an alias to a version. The version that was champion becomes previous."""
    with connect() as tracking_uri:
        from bert_tf.registry import promote

        promote(name=name, version=version, alias=alias, tracking_uri=tracking_uri)
        click.echo(f"{name} version {version} is {alias}")


@registry.command()
@choose_version
@click.option("--model-folder", is_flag=True, help="What training goes on from, instead.")
@click.option("--output-dir", required=True, type=click.Path(), help="Where it goes.")
def fetch(name: str, alias_or_version: str | int, model_folder: bool, output_dir: str) -> None:
    """Bring a version's SavedModel into OUTPUT_DIR/saved_model.

    Its model folder, if it was registered with one, comes into OUTPUT_DIR/model.
    """
    with connect() as tracking_uri:
        from bert_tf.registry import fetch, fetch_model

        path = (fetch_model if model_folder else fetch)(
            name=name,
            alias_or_version=alias_or_version,
            output_dir=output_dir,
            tracking_uri=tracking_uri,
        )
        _print_origin(path)


@registry.command()
@choose_version
@click.option(
    "--base-dir", required=True, help="BASE of BASE/NAME/NUMBER; may be s3://…, gs://… and so on."
)
def publish(name: str, alias_or_version: str | int, base_dir: str) -> None:
    """Put a version's SavedModel below BASE, for TF Serving."""
    with connect() as tracking_uri:
        from bert_tf.exporting.object_store import is_url
        from bert_tf.registry import publish, publish_to_store

        chosen: dict[str, Any] = {
            "name": name,
            "alias_or_version": alias_or_version,
            "tracking_uri": tracking_uri,
        }
        if is_url(base_dir):
            click.echo(publish_to_store(base_url=base_dir, **chosen))
        else:
            _print_origin(publish(base_dir=base_dir, **chosen))


@registry.command("list")
@click.option("--name", help="Registered model; without it, all of them.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
def list_(name: str | None, is_json: bool) -> None:
    """Show the versions with aliases and metrics."""
    with connect() as tracking_uri:
        from bert_tf.registry import list_versions

        versions = list_versions(name=name, tracking_uri=tracking_uri)
        if is_json:
            for version in versions:
                click.echo(json.dumps(_describe(version), ensure_ascii=False))
        elif not versions:
            click.echo("No version is registered.", err=True)
        elif sys.stdout.isatty():
            from rich.console import Console

            Console().print(make_table(versions))
        else:
            for version in versions:
                click.echo("\t".join(_make_row(version, separator=", ")))


def make_table(versions: "Sequence[RegisteredVersion]") -> "Table":
    """The versions as a table for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "version", "aliases", "metrics", "registered (UTC)", "run"):
        table.add_column(heading, overflow="fold")
    for version in versions:
        table.add_row(*map(Text, _make_row(version, separator="\n")))  # as it is, not as markup
    return table


def _make_row(version: "RegisteredVersion", *, separator: str) -> list[str]:
    metrics = (f"{_visible(k)} {value:.4g}" for k, value in sorted(version.metrics.items()))
    return [
        _visible(version.name),
        str(version.version),
        separator.join(version.aliases),
        separator.join(metrics),
        f"{version.created_at:%Y-%m-%d %H:%M}",
        version.run_id or "",
    ]


def _visible(text: str) -> str:
    """With escapes for what would end a line, begin a column or steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _describe(version: "RegisteredVersion") -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "aliases": version.aliases,
        "metrics": version.metrics,
        "created_at": version.created_at.isoformat(),
        "run_id": version.run_id,
    }


def _print_origin(saved_model_dir: Path) -> None:
    from bert_tf.registry import read_origin

    origin: Mapping[str, Any] = read_origin(saved_model_dir) or {}
    if origin:
        click.echo(f"{saved_model_dir} is {origin['name']} version {origin['version']}")


@contextlib.contextmanager
def connect() -> Iterator[str]:
    """The server's address, without a warning of MLflow's that says nothing here."""
    with warnings.catch_warnings():
        # MLflow says so of every Python file it stores as a model.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        yield tracking_uri()
