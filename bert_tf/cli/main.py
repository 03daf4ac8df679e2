"""`bert-tf …`: parse the arguments, call one function, give its exit code.

0 done, 1 failed, 2 wrong use, 70 a fault of the package. A run stopped by SIGTERM or SIGINT
checkpoints first and exits with 143 or 130, so that no scheduler takes it for finished. TensorFlow
is imported only when a command needs it.
"""

import functools
import importlib.metadata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bert_tf.cli import gate, lineage  # noqa: F401  (they add to `registry`)
from bert_tf.cli.benchmark import benchmark
from bert_tf.cli.embed import embed
from bert_tf.cli.inspect import inspect
from bert_tf.cli.predict import predict
from bert_tf.cli.process import CheckedCommand, set_up_process, tracking_uri
from bert_tf.cli.registry import registry
from bert_tf.cli.retrieval import evaluate_retrieval, mine_negatives
from bert_tf.cli.serving import serving
from bert_tf.cli.stage import print_metrics, shown_progress, stage
from bert_tf.cli.training import finetune, pretrain, worker_or_exit
from bert_tf.system.version import __version__

if TYPE_CHECKING:
    from bert_tf.config import Config


class _Commands(CheckedCommand, click.Group):
    """Its own commands and those that installed packages add (entry points `bert_tf.commands`)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_added_commands()})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        added = _added_commands()
        own = super().get_command(ctx, name)
        return _load(added[name]) if own is None and name in added else own


def _load(entry: importlib.metadata.EntryPoint) -> click.Command:
    """An added command; one that cannot be imported says so when it is called, and only then."""
    try:
        command: click.Command = entry.load()
    except Exception as error:
        message = (
            f"{entry.name}: the command that an installed package adds must be importable. "
            f"Received: {error}. Repair or remove that package ({entry.value})."
        )

        @click.command(entry.name, short_help="(cannot be imported)")
        def command() -> None:
            raise click.ClickException(message)

    return command


@functools.cache
def _added_commands() -> dict[str, importlib.metadata.EntryPoint]:
    """Name -> where the command is; `pipeline` is one, since the flows stand above this package."""
    found = importlib.metadata.entry_points(group="bert_tf.commands")
    return {entry.name: entry for entry in found}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bert-tf")
def main() -> None:
    """BERT from raw text to a served model.

    Each command reads its section of the configuration (--config FILE, --set a.b=value) and
    writes its result, with the resolved configuration, into --output-dir.
    """
    set_up_process()


@stage
def vocab(config: "Config", output_dir: str) -> None:
    """Learn a vocabulary from a corpus: WordPiece, or SentencePiece with vocabulary.kind."""
    from bert_tf.data.text.learning import learn_tokenizer

    with shown_progress() as show:
        tokenizer = learn_tokenizer(config, output_dir, on_progress=show)
    click.echo(f"{tokenizer.vocab_size:,} tokens in {output_dir}/{tokenizer.vocabulary_file}")


@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or tasks of a Ray cluster.",
)
@click.option("--ray-address", help="Of a running cluster. Default: one started on this machine.")
@stage
def prepare(config: "Config", output_dir: str, engine: str, ray_address: str | None) -> None:
    """Turn a corpus into TFRecord files of sentence pairs, or parallel text into files of pairs.

    The records do not depend on the engine. A cluster's nodes must all see OUTPUT_DIR.
    """
    from bert_tf.data.corpora.selection import read_summary
    from bert_tf.data.preparation.local_processes import run_locally
    from bert_tf.data.preparation.parallel import prepare_parallel
    from bert_tf.data.preparation.prepare import prepare_records
    from bert_tf.data.preparation.ray_tasks import run_on_ray
    from bert_tf.system.ray_cluster import LOCAL

    if ray_address and engine != "ray":
        raise click.UsageError("--ray-address needs --engine ray.")
    on_ray = functools.partial(run_on_ray, address=ray_address or LOCAL)
    run_prepare: Callable[..., Any] = prepare_parallel if config.parallel.paths else prepare_records
    with shown_progress() as show:
        manifest = run_prepare(
            config,
            output_dir,
            engine=on_ray if engine == "ray" else run_locally,
            on_progress=show,
        )
    click.echo(
        f"{manifest.num_examples('train'):,} training and {manifest.num_examples('eval'):,} "
        f"held-out examples in {output_dir}"
    )
    summary = read_summary(output_dir)
    if summary is not None:
        click.echo(f"Corpus: {summary.describe()}")


@stage
def evaluate(config: "Config", output_dir: str) -> None:
    """Measure a trained model on held-out data."""
    from bert_tf.training.stages.evaluation import evaluate_model

    worker_or_exit()  # TensorFlow reads TF_CONFIG, too.
    print_metrics(evaluate_model(config, output_dir, tracking_uri=tracking_uri()))


@stage
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Load it in a fresh process, replay its warm-up requests and compare the answers.",
)
@click.option(
    "--serving-version",
    help="The TensorFlow Serving that is to take it, such as 2.16: an operation that this one "
    "lacks is told, and nothing is written. Default: 2.20.",
)
def export(config: "Config", output_dir: str, *, check: bool, serving_version: str | None) -> None:
    """Write a SavedModel for TF Serving as OUTPUT_DIR/VERSION, if it can be served."""
    from bert_tf.exporting.saved_model import export_model
    from bert_tf.exporting.serving_ops import NEWEST

    if serving_version and not check:
        raise click.UsageError("--serving-version is looked at by the check: leave --no-check out.")
    version = serving_version or NEWEST
    click.echo(str(export_model(config, output_dir, check=check, serving_version=version)))


@main.command()
@click.option("--from", "source", required=True, type=click.Path(), help="A checkpoint.")
@click.option("--to", "target", required=True, type=click.Path(), help="A new folder.")
@click.option(
    "--format",
    "target_format",
    default="bert-tf",
    show_default=True,
    type=click.Choice(["bert-tf", "huggingface", "google", "keras-nlp"]),
    help="What to write.",
)
@click.option(
    "--from-format",
    type=click.Choice(["bert-tf", "huggingface", "google", "model-garden", "keras-nlp"]),
    help="What to read. Default: told by the files.",
)
@click.option(
    "--lower-case/--no-lower-case",
    default=None,
    help="Of Google's, Model Garden's and Hugging Face's checkpoints. Default: as their files say, "
    "or told by the vocabulary.",
)
@click.option("--text-pairs", is_flag=True, help="The classifier takes two texts.")
def convert(
    source: str,
    target: str,
    target_format: str,
    from_format: str | None,
    lower_case: bool | None,
    text_pairs: bool,
) -> None:
    """Turn a checkpoint of one library into one of another.

    Reads folders of Hugging Face, of keras-nlp, of Google's TensorFlow 1 code, of
    tf-models-official and of this package. What would be read otherwise is refused, and nothing
    is written; a head or setting that the new format has no place for is named in a warning.
    """
    from bert_tf.conversion.convert import convert_checkpoint

    model = convert_checkpoint(
        source,
        target,
        target_format=target_format,
        source_format=from_format,
        lower_case=lower_case,
        has_text_pairs=text_pairs,
    )
    num_weights = model.network.count_params()
    vocabulary = "no tokenizer" if model.tokenizer is None else "its tokenizer"
    click.echo(
        f"{model.description.kind} with {num_weights:,} weights and {vocabulary}, as "
        f"{target_format} in {target}"
    )


@main.command()
@click.option("--output-dir", required=True, type=click.Path(), help="Of a run that has ended.")
def send_tracking(output_dir: str) -> None:
    """Send MLflow the events that a run could not send itself."""
    from bert_tf.tracking.tracker import run_id_of, send_pending

    num_events = send_pending(output_dir, tracking_uri=tracking_uri())
    click.echo(f"{num_events:,} events sent to MLflow run {run_id_of(output_dir)}")


for _command in (
    *(vocab, prepare, pretrain, finetune, evaluate, export, inspect),
    *(predict, embed, mine_negatives, evaluate_retrieval, benchmark, registry, serving),
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
