"""`bert-tf …`: parse the arguments, call one function, give its exit code.

0 done, 1 failed, 2 wrong use. A run stopped by SIGTERM or SIGINT checkpoints first and exits
with 143 or 130, so that nobody takes it for finished. TensorFlow is imported only when a
command needs it.
"""

import contextlib
import functools
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bert_tf import __version__
from bert_tf.cli_inspect import inspect
from bert_tf.cli_registry import registry
from bert_tf.process import fail, set_up_process, show_errors, tracking_uri

if TYPE_CHECKING:
    from bert_tf.config import Config
    from bert_tf.training.cluster import Stage
    from bert_tf.training.loop import Progress
    from bert_tf.training.profiled_steps import ProfiledSteps


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bert-tf")
def main() -> None:
    """BERT from raw text to a served model.

    Each command reads its section of the configuration (--config FILE, --set a.b=value) and
    writes its result, with the resolved configuration, into --output-dir.
    """
    set_up_process()


main.add_command(inspect)
main.add_command(registry)


def _stage(command: Callable[..., None]) -> click.Command:
    """The options every stage has, and errors as exit code 1 with their message."""

    @main.command()
    @click.option("--config", "config_path", type=click.Path(), help="YAML file.")
    @click.option("--set", "overrides", multiple=True, metavar="A.B=VALUE", help="Change a value.")
    @click.option("--output-dir", required=True, type=click.Path(), help="Where results go.")
    @functools.wraps(command)
    def run(
        config_path: str | None, overrides: tuple[str, ...], output_dir: str, **options: Any
    ) -> None:
        from bert_tf.config import load_config

        try:
            config = load_config(config_path, overrides=overrides)
        except (ValueError, FileNotFoundError) as error:
            fail(error, code=2)
        with show_errors():
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            command(config, output_dir, **options)

    return run


@_stage
def vocab(config: "Config", output_dir: str) -> None:
    """Learn a WordPiece vocabulary from a corpus."""
    from bert_tf.data.text.tokenizer import learn_tokenizer

    with _progress() as show:
        tokenizer = learn_tokenizer(config, output_dir, on_progress=show)
    click.echo(f"{tokenizer.vocab_size:,} tokens in {output_dir}/vocab.txt")


@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Processes of this machine, or tasks of a Ray cluster.",
)
@click.option("--ray-address", help="Of a running cluster. Default: one started on this machine.")
@_stage
def prepare(config: "Config", output_dir: str, engine: str, ray_address: str | None) -> None:
    """Turn a corpus into TFRecord files of sentence pairs.

    The records do not depend on the engine. A cluster's nodes must all see OUTPUT_DIR.
    """
    from bert_tf.data.corpora.selection import read_summary
    from bert_tf.data.preparation.cluster import run_on_ray
    from bert_tf.data.preparation.prepare import prepare_records
    from bert_tf.data.preparation.workers import run_locally
    from bert_tf.ray_cluster import LOCAL

    if ray_address and engine != "ray":
        raise click.UsageError("--ray-address needs --engine ray.")
    on_ray = functools.partial(run_on_ray, address=ray_address or LOCAL)
    with _progress() as show:
        manifest = prepare_records(
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


def _profiled_steps(_context: Any, _option: Any, text: str | None) -> "ProfiledSteps | None":
    from bert_tf.training.profiled_steps import ProfiledSteps, ProfileRangeError

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
        click.option("--num-workers", type=click.IntRange(1), help="With --engine ray."),
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
    return _stage(command)


@_training_stage
def pretrain(config: "Config", output_dir: str, **options: Any) -> None:
    """Pretrain on prepared records: masked tokens and next sentences."""
    _train("pretrain", config, output_dir, **options)


@_training_stage
def finetune(config: "Config", output_dir: str, **options: Any) -> None:
    """Train a classifier of texts or pairs on a pretrained encoder."""
    _train("finetune", config, output_dir, **options)


@_stage
def evaluate(config: "Config", output_dir: str) -> None:
    """Measure a trained model on held-out data."""
    from bert_tf.training.evaluation import evaluate_model

    _print_metrics(evaluate_model(config, output_dir, tracking_uri=tracking_uri()))


@_stage
def export(config: "Config", output_dir: str) -> None:
    """Write a SavedModel for TF Serving as OUTPUT_DIR/VERSION."""
    from bert_tf.export.saved_model import export_model

    click.echo(str(export_model(config, output_dir)))


@main.command()
@click.option("--model", required=True, type=click.Path(), help="SavedModel, or BASE/NAME.")
@click.option("--file", "text_file", type=click.Path(), help="A text a line, UTF-8.")
@click.option("--signature", default="serving_default", show_default=True)
@click.argument("texts", nargs=-1)
def predict(model: str, text_file: str | None, signature: str, texts: tuple[str, ...]) -> None:
    """Answer TEXTS (or a file's lines, or standard input's): one JSON object a line.

    A tab separates the two texts of a pair.
    """
    if texts and text_file:
        raise click.UsageError("Give texts or --file, not both.")
    with show_errors():
        from bert_tf.export.saved_model import predict_texts

        lines = list(texts) or _read_lines(text_file)
        pairs = [line.split("\t") for line in lines]
        if len({len(pair) for pair in pairs}) > 1 or any(len(pair) > 2 for pair in pairs):
            raise ValueError(
                "Every line must be one text, or every line two texts with one tab between them. "
                f"Received: lines of {sorted({len(pair) for pair in pairs})} parts."
            )
        is_paired = bool(pairs) and len(pairs[0]) == 2
        answers = predict_texts(
            model,
            [pair[0] for pair in pairs],
            text_pairs=[pair[1] for pair in pairs] if is_paired else None,
            signature_name=signature,
        )
        for answer in answers:
            click.echo(json.dumps(answer, ensure_ascii=False))


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
    help="Of Google's and Model Garden's checkpoints. Default: told by the vocabulary.",
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
    with show_errors():
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
    with show_errors():
        from bert_tf.training.tracking import run_id_of, send_pending

        num_events = send_pending(output_dir, tracking_uri=tracking_uri())
        click.echo(f"{num_events:,} events sent to MLflow run {run_id_of(output_dir)}")


def _train(
    stage: "Stage",
    config: "Config",
    output_dir: str,
    *,
    engine: str,
    ray_address: str | None,
    num_workers: int | None,
    profile: "ProfiledSteps | None",
) -> None:
    from bert_tf.training.loop import TrainingInterruptedError
    from bert_tf.training.profiled_steps import ProfileRangeError
    from bert_tf.training.rendezvous import StoppedWaitingError

    if (engine == "ray") != (num_workers is not None) or (ray_address and engine != "ray"):
        raise click.UsageError("--engine ray needs --num-workers, and both options need it.")
    if engine == "ray" and profile is not None:
        raise click.UsageError("--profile is for --engine local.")
    with _stop_on_signals() as received:

        def is_stop_requested() -> bool:
            return bool(received)

        try:
            if num_workers is None:
                metrics = _train_here(
                    stage, config, output_dir, profile=profile, is_stop_requested=is_stop_requested
                )
            else:
                metrics = _train_on_ray(
                    stage,
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
        _print_metrics(metrics)


def _train_here(
    stage: "Stage",
    config: "Config",
    output_dir: str,
    *,
    is_stop_requested: Callable[[], bool],
    profile: "ProfiledSteps | None",
) -> dict[str, float] | None:
    """The metrics; None on a worker that is not the chief, which tells the same."""
    from bert_tf.training.finetuning import finetune as run_finetune
    from bert_tf.training.pretraining import pretrain as run_pretrain
    from bert_tf.training.rendezvous import wait_for_workers
    from bert_tf.training.tf_config import parse_tf_config

    try:
        worker = parse_tf_config(os.environ.get("TF_CONFIG"))
    except ValueError as error:
        fail(error, code=2)
    if not worker.is_chief:
        logging.getLogger("bert_tf").setLevel(logging.WARNING)
    wait_for_workers(worker, is_stop_requested=is_stop_requested)
    with _progress() if worker.is_chief else _silence() as show:
        metrics = {"pretrain": run_pretrain, "finetune": run_finetune}[stage](
            config,
            output_dir,
            tracking_uri=tracking_uri(),
            on_progress=lambda progress: show(
                stage, progress.step, progress.num_steps, describe_progress(progress)
            ),
            is_stop_requested=is_stop_requested,
            profile=profile,
            worker=worker,
        )
    return metrics if worker.is_chief else None


def _train_on_ray(stage: "Stage", *arguments: Any, **options: Any) -> dict[str, float]:
    from bert_tf.training.cluster import train_on_ray

    with _progress() as show:
        return train_on_ray(
            stage,
            *arguments,
            tracking_uri=tracking_uri(),
            on_progress=lambda progress: show(
                stage, progress.step, progress.num_steps, describe_progress(progress)
            ),
            **options,
        )


def describe_progress(progress: "Progress") -> str:
    """Loss, accuracies, learning rate and speed of a training run in one line."""
    metrics = progress.metrics
    accuracies = [
        f"{name.removesuffix('_accuracy')} {value:.1%}"
        for name, value in metrics.items()
        if name.endswith("_accuracy")
    ]
    parts = [f"loss {metrics['loss']:.3f}", *accuracies]
    if "learning_rate" in metrics:  # no step was done where it is not
        parts.append(f"lr {metrics['learning_rate']:.2e}")
    parts.append(f"{progress.sequences_per_second:,.1f} sequences/s")
    if "real_tokens_per_second" in metrics:
        parts.append(f"{metrics['real_tokens_per_second']:,.0f} real tokens/s")
        parts.append(f"MFU {metrics['model_flops_utilization']:.1%}")
    return ", ".join(parts)


def _read_lines(path: str | None) -> list[str]:
    """The lines of a file, or of standard input."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(Path(path).open("rb")) if path else sys.stdin.buffer
        lines = []
        for number, line in enumerate(stream, 1):
            try:
                lines.append(line.decode("utf-8").rstrip("\r\n"))
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path or 'standard input'}:{number}: a text must be UTF-8. Received: "
                    f"{error.reason} at byte {error.start}. Convert it first."
                ) from error
    return lines


@contextlib.contextmanager
def _progress() -> Iterator[Callable[..., None]]:
    from bert_tf.progress import ProgressDisplay

    with ProgressDisplay(is_terminal=sys.stderr.isatty()) as display:
        yield display.update


@contextlib.contextmanager
def _silence() -> Iterator[Callable[..., None]]:
    """In the place of `_progress` where another worker shows it."""
    yield lambda *_: None


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT; a second SIGINT interrupts at once."""
    received: list[int] = []

    def note(number: int, _frame: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_metrics(metrics: dict[str, float]) -> None:
    click.echo(json.dumps({name: round(value, 6) for name, value in metrics.items()}))


if __name__ == "__main__":
    main()
