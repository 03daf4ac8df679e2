"""`bert-tf pretrain` and `finetune`: here, as one of several workers, or on a Ray cluster.

A run stopped by SIGTERM or SIGINT checkpoints first and exits with 143 or 130.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from bert_tf.cli.process import fail, tracking_uri
from bert_tf.cli.progress import progress_shown
from bert_tf.cli.stage import print_metrics, shown_progress, stage, with_task
from bert_tf.system.folder_lock import refuse_held
from bert_tf.system.signals import noted_signals

if TYPE_CHECKING:
    from bert_tf.config import Config
    from bert_tf.training.measuring.profiled_steps import ProfiledSteps
    from bert_tf.training.stages.by_name import Stage
    from bert_tf.training.workers.tf_config import Worker


def _profiled_steps(_context: Any, _option: Any, text: str | None) -> "ProfiledSteps | None":
    from bert_tf.training.measuring.profiled_steps import ProfiledSteps, ProfileRangeError

    try:
        return None if text is None else ProfiledSteps.parse(text)
    except ProfileRangeError as error:
        raise click.BadParameter(str(error)) from error


def _training_stage(command: Callable[..., None]) -> click.Command:
    """The options of a stage that trains."""
    for option in (
        click.option(
            "--profile",
            metavar="START:END",
            callback=_profiled_steps,
            help="Trace these steps for TensorBoard, and show where time went, layer by layer.",
        ),
        click.option(
            "--num-workers",
            type=click.IntRange(1),
            help="With --engine ray. Default: one a GPU of the cluster, or one a node without.",
        ),
        click.option("--ray-address", help="Of a running cluster. Default: one started here."),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="This process (one of several with TF_CONFIG), or workers of a Ray cluster.",
        ),
    ):
        command = option(command)
    return stage(command)


@_training_stage
def pretrain(config: "Config", output_dir: str, **options: Any) -> None:
    """Pretrain on prepared records: masked tokens and next sentences."""
    train("pretrain", config, output_dir, **options)


@_training_stage
@with_task
def finetune(config: "Config", output_dir: str, **options: Any) -> None:
    """Train a model of a task, such as classification, on a pretrained encoder."""
    train("finetune", config, output_dir, **options)


def train(
    name: "Stage",
    config: "Config",
    output_dir: str,
    *,
    engine: str,
    ray_address: str | None,
    num_workers: int | None,
    profile: "ProfiledSteps | None",
) -> None:
    """Run a training stage; its metrics are printed, a stop or wrong use gives its exit code."""
    from bert_tf.system.signals import TrainingInterruptedError
    from bert_tf.training.measuring.profiled_steps import ProfileRangeError
    from bert_tf.training.workers.rendezvous import StoppedWaitingError

    if engine != "ray" and (num_workers or ray_address):
        raise click.UsageError("--num-workers and --ray-address are for --engine ray.")
    if engine == "ray" and profile is not None:
        raise click.UsageError("--profile is for --engine local.")
    with noted_signals() as received:

        def is_stop_requested() -> bool:
            return bool(received)

        try:
            if engine == "local":
                metrics = _train_here(
                    name, config, output_dir, profile=profile, is_stop_requested=is_stop_requested
                )
            else:
                metrics = _train_on_ray(
                    name,
                    config,
                    output_dir,
                    num_workers=num_workers,
                    is_stop_requested=is_stop_requested,
                    **({"address": ray_address} if ray_address else {}),
                )
        except ProfileRangeError as error:
            fail(error, code=2)
        except (TrainingInterruptedError, StoppedWaitingError) as interruption:
            click.echo(f"{interruption} Run the same command to go on.", err=True)
            # Another worker may have been asked to stop, not this one.
            raise SystemExit(128 + (received or [signal.SIGTERM])[0]) from None
    if metrics is not None:
        print_metrics(metrics)


def worker_or_exit() -> "Worker":
    """Which worker this is by `TF_CONFIG`; where that is wrong, a message and exit code 2."""
    from bert_tf.training.workers.tf_config import parse_tf_config

    try:
        return parse_tf_config(os.environ.get("TF_CONFIG"))
    except ValueError as error:
        fail(error, code=2)


def _train_here(
    name: "Stage",
    config: "Config",
    output_dir: str,
    *,
    is_stop_requested: Callable[[], bool],
    profile: "ProfiledSteps | None",
) -> dict[str, float] | None:
    """The metrics; None on a worker that is not the chief, which tells the same."""
    from bert_tf.training.stages.by_name import stage_function
    from bert_tf.training.workers.rendezvous import wait_for_workers

    worker = worker_or_exit()
    if worker.is_chief:
        refuse_held(output_dir, command=f"bert-tf {name}")
    else:
        logging.getLogger("bert_tf").setLevel(logging.WARNING)
    wait_for_workers(worker, is_stop_requested=is_stop_requested)
    with shown_progress() if worker.is_chief else _silence() as show:
        metrics = stage_function(name)(
            config,
            output_dir,
            tracking_uri=tracking_uri(),
            on_progress=progress_shown(show, name),
            is_stop_requested=is_stop_requested,
            profile=profile,
            worker=worker,
        )
    return metrics if worker.is_chief else None


def _train_on_ray(
    name: "Stage", config: "Config", output_dir: str, **options: Any
) -> dict[str, float]:
    from bert_tf.training.workers.ray_train import train_on_ray

    refuse_held(output_dir, command=f"bert-tf {name}")
    with shown_progress() as show:
        return train_on_ray(
            name,
            config,
            output_dir,
            tracking_uri=tracking_uri(),
            on_progress=progress_shown(show, name),
            **options,
        )


@contextlib.contextmanager
def _silence() -> Iterator[Callable[..., None]]:
    """In the place of `shown_progress` where another worker shows it."""
    yield lambda *_: None
