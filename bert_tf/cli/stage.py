"""What the commands of all stages share: options, progress, metrics."""

import contextlib
import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from bert_tf.cli.process import fail
from bert_tf.system.listing import listed
from bert_tf.system.output_folder import check_folder

if TYPE_CHECKING:
    from bert_tf.config import Config

log = logging.getLogger(__name__)


def stage(command: Callable[..., None]) -> click.Command:
    """The options every stage has; a folder of another command is refused at once."""

    @click.command()
    @configured
    @click.option("--output-dir", required=True, type=click.Path(), help="Where results go.")
    @functools.wraps(command)
    def run(config: "Config", output_dir: str, **options: Any) -> None:
        check_folder(output_dir, command=command.__name__)
        command(config, output_dir, **options)

    return run


config_option = click.option("--config", "config_path", type=click.Path(), help="YAML file.")
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="A.B=VALUE", help="Change a value."
)
task_option = click.option(
    "--task",
    metavar="NAME",
    help="What is fine-tuned for: classification, multi_label, regression, a task of an "
    "installed package, or MODULE:CLASS. Default: finetuning.task.",
)


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """The options that make a configuration, given to `command` as `config`; exit code 2."""

    @config_option
    @set_option
    @functools.wraps(command)
    def run(config_path: str | None, overrides: tuple[str, ...], **options: Any) -> None:
        command(config=load_config_or_exit(config_path, overrides), **options)

    return run


def with_task(command: Callable[..., None]) -> Callable[..., None]:
    """The option --task, which is `finetuning.task` in the configuration that `command` gets."""

    @task_option
    @functools.wraps(command)
    def run(config: "Config", *arguments: Any, task: str | None, **options: Any) -> None:
        command(with_task_name(config, task), *arguments, **options)

    return run


def load_config_or_exit(config_path: str | None, overrides: tuple[str, ...]) -> "Config":
    """The configuration; where it is wrong, a message and exit code 2."""
    from bert_tf.config import load_config

    try:
        return load_config(config_path, overrides=overrides)
    except (ValueError, FileNotFoundError) as error:
        fail(error, code=2)


def with_task_name(config: "Config", task: str | None) -> "Config":
    """`config` with another `finetuning.task`, if one is given that is another.

    A warning names the settings that were given for the task by name: they are left out.
    """
    section = config.finetuning
    before = section.task
    if task is None or task == before.name:
        return config
    renamed = before.renamed(task)
    if dropped := [name for name in before.options if name not in renamed.options]:
        log.warning(
            "--task %s: the configuration is for %s, whose settings are left out: %s. Set those of "
            "%s by --set finetuning.task=%s --set finetuning.task.KEY=VALUE.",
            *(task, before.name, listed(dropped), task, task),
        )
    section = section.model_copy(update={"task": renamed})
    return config.model_copy(update={"finetuning": section})


@contextlib.contextmanager
def shown_progress() -> Iterator[Callable[..., None]]:
    """What shows (stage, done, total, detail), on the terminal or as a line now and then."""
    from bert_tf.cli.progress import ProgressDisplay

    with ProgressDisplay(is_terminal=sys.stderr.isatty()) as display:
        yield display.update


def print_metrics(metrics: dict[str, float]) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps({name: round(value, 6) for name, value in metrics.items()}))
