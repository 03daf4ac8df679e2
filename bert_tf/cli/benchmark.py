"""`bert-tf benchmark`: a model on the sets of GLUE or KLUE, as the table of the papers."""

import functools
from collections.abc import Callable
from typing import Any

import click

from bert_tf.cli.process import fail, tracking_uri
from bert_tf.cli.stage import config_option, load_config_or_exit, set_option, shown_progress
from bert_tf.system.signals import noted_signals


def _numbers(kind: Callable[[str], Any]) -> Callable[[Any, click.Option, str | None], Any]:
    """What reads `1,2,3`."""

    def read(_context: Any, option: click.Option, text: str | None) -> tuple[Any, ...]:
        try:
            values = tuple(kind(part) for part in (text or "").split(",") if text)
        except ValueError as error:
            raise click.BadParameter(
                f"must be numbers with commas between them. Received: {text!r}.", param=option
            ) from error
        if kind is not _name and not all(value > 0 or option.name == "seeds" for value in values):
            raise click.BadParameter(f"must be above 0. Received: {text!r}.", param=option)
        return values

    return read


def _name(text: str) -> str:
    return text.strip()


@click.command()
@click.argument("name", type=click.Choice(["glue", "klue"]))
@click.option("--model", required=True, type=click.Path(), help="A pretrained model's folder.")
@click.option("--data", required=True, type=click.Path(), help="Folder with the sets' files.")
@click.option("--output-dir", required=True, type=click.Path(), help="Where results go.")
@click.option(
    "--sets",
    callback=_numbers(_name),
    metavar="A,B",
    help="Which sets; those beside KLUE (korquad, korsts, unsmile, nsmc) are measured where they "
    "are named. Default: the benchmark's that are there.",
)
@click.option(
    "--seeds", callback=_numbers(int), metavar="1,2,3", help="A run each. Default: the seed's."
)
@click.option(
    "--learning-rates", callback=_numbers(float), metavar="A,B", help="To try, the best is told."
)
@click.option("--batch-sizes", callback=_numbers(int), metavar="A,B", help="Likewise.")
@click.option("--epochs", callback=_numbers(float), metavar="A,B", help="Likewise.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="One run after the other in this process, or several at a time on a Ray cluster.",
)
@click.option("--ray-address", help="Of a running cluster. Default: one started here.")
@click.option(
    "--num-workers",
    type=click.IntRange(1),
    help="Runs at a time with --engine ray. Default: one a GPU, or one a node without.",
)
@config_option
@set_option
def benchmark(name: str, config_path: str | None, overrides: tuple[str, ...], **given: Any) -> None:
    """Fine-tune a model on each set of GLUE or KLUE and write the table that the papers print.

    Recipes are the published ones; --set finetuning.KEY=VALUE changes all sets, --set SET.KEY=VALUE
    one, such as mrpc.num_epochs=5. Run the same command again to go on with what is not finished.
    """
    from bert_tf.benchmark_tables.benchmark import BENCHMARKS, TABLE_FILE, run_benchmark
    from bert_tf.benchmark_tables.plan import Options
    from bert_tf.benchmark_tables.running import run_here, run_on_ray
    from bert_tf.config import read_overrides
    from bert_tf.system.ray_cluster import LOCAL
    from bert_tf.system.signals import TrainingInterruptedError

    engine, address, workers = (given.pop(it) for it in ("engine", "ray_address", "num_workers"))
    if engine != "ray" and (workers or address):
        raise click.UsageError("--num-workers and --ray-address are for --engine ray.")
    sets = [it.name for it in (*BENCHMARKS[name].sets, *BENCHMARKS[name].further_sets)]
    of_sets = [it for it in overrides if it.partition("=")[0].partition(".")[0].strip() in sets]
    config = load_config_or_exit(config_path, tuple(it for it in overrides if it not in of_sets))
    on_ray = functools.partial(run_on_ray, address=address or LOCAL, num_workers=workers)
    try:
        own = read_overrides(of_sets)
    except ValueError as error:
        fail(error, code=2)
    grid = {key: given[key] for key in ("learning_rates", "batch_sizes", "epochs")}
    seeds = given["seeds"] or (config.seed,)
    options = Options(model=given["model"], seeds=seeds, overrides=own, **grid)
    with noted_signals() as received, shown_progress() as show:
        try:
            run_benchmark(
                name,
                options,
                data=given["data"],
                output_dir=given["output_dir"],
                config=config,
                sets=given["sets"] or None,
                run=on_ray if engine == "ray" else run_here,
                tracking_uri=tracking_uri(),
                show=show,
                is_stop_requested=lambda: bool(received),
            )
        except TrainingInterruptedError as interruption:
            click.echo(f"{interruption} Run the same command to go on.", err=True)
            raise SystemExit(128 + (received or [15])[0]) from None
    with click.open_file(f"{given['output_dir']}/{TABLE_FILE}", encoding="utf-8") as table:
        click.echo(table.read())
