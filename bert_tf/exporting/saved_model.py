"""`bert-tf export`: a trained model's folder in, `BASE/NAME/VERSION` for TF Serving out.

The SavedModel is written under a hidden name, with warm-up requests, checked in a process of its
own against the model in memory, and only then renamed to its version number: TF Serving never sees
half of one, nor one that it cannot serve.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_tf.config import (
    CONFIG_FILE,
    TRAINING_CONFIG_FILE,
    Config,
    ExportConfig,
    required,
    write_config,
)
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting.batching_check import make_batches
from bert_tf.exporting.closeness import CLOSENESS
from bert_tf.exporting.precision import compare_with_float32, load_for_serving
from bert_tf.exporting.servability import REPORT_FILE, check_servability
from bert_tf.exporting.serving_ops import NEWEST, missing_in
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.texts import TextInputs
from bert_tf.exporting.version_folders import publish
from bert_tf.exporting.warmup import TEXTS, WarmupRequest, make_requests, read_texts, write_requests
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.system.files import hidden_folder
from bert_tf.system.output_folder import check_folder, owned_folder
from bert_tf.tasks.table import task_of

log = logging.getLogger(__name__)

COPIED = ("model.json", "vocab.txt", "tokenizer.json", "metrics.json", "provenance.json")


def export_model(
    config: Config, output_dir: str | Path, *, check: bool = True, serving_version: str = NEWEST
) -> Path:
    """Write `export.model` as the next version below `output_dir` (BASE/NAME).

    Returns the version's folder. Its `assets.extra` holds the model's description, metrics and
    vocabulary, `config.yaml` of this export and `training.yaml`, the one of the training, the
    warm-up requests and what was checked (`servability.json`).

    Args:
        check: load it in a fresh process and compare, see `servability.check_servability`.
        serving_version: of the TensorFlow Serving that is to take it, such as `2.16`.

    Raises:
        ValueError: `output_dir` holds something else. TF Serving would not take the SavedModel,
            or it answers differently from the model in memory, or alone and in a batch. There is
            no new version then.
    """
    missing_in(serving_version)  # a version that is not known is told at once
    check_folder(output_dir, command="export")
    section = config.export
    folder = Path(required(section.model, key="export.model", what="a folder with a trained model"))
    description = load_description(folder)
    section = _with_max_seq_length(section, description)
    model = _serving_model(section, folder, description)
    texts = _warmup_texts(section, description)
    requests = make_requests(model.answers, model.text_inputs, texts, methods=model.methods)
    with (
        owned_folder(output_dir, command="export", is_shared=True) as base,
        hidden_folder(base, prefix=".exporting-") as temporary,
    ):
        _write(model, temporary)
        write_requests(requests, temporary)
        extra = temporary / "assets.extra"
        for name in COPIED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, extra / name)
        if (folder / CONFIG_FILE).is_file():
            shutil.copyfile(folder / CONFIG_FILE, extra / TRAINING_CONFIG_FILE)
        write_config(config.model_copy(update={"export": section}), extra)
        if check:
            _check(
                temporary,
                model,
                requests,
                folder=folder,
                section=section,
                description=description,
                serving_version=serving_version,
            )
        return publish(temporary, base)


def _with_max_seq_length(section: ExportConfig, description: ModelDescription) -> ExportConfig:
    max_seq_length = section.max_seq_length or description.max_seq_length
    limit = description.architecture.max_position_embeddings
    if max_seq_length > limit:
        raise ValueError(
            "export.max_seq_length must be at most the model's max_position_embeddings. "
            f"Received: {max_seq_length} and {limit}. Lower export.max_seq_length."
        )
    return section.model_copy(update={"max_seq_length": max_seq_length})


def _serving_model(
    section: ExportConfig, folder: Path, description: ModelDescription
) -> ServingModel:
    text_inputs = TextInputs(
        Tokenizer.load(folder),
        max_seq_length=section.max_seq_length or description.max_seq_length,
        max_bytes=section.max_text_bytes,
        pad_to_multiple_of=section.pad_to_multiple_of,
    )
    with load_for_serving(folder, precision=section.precision) as model:
        return ServingModel(model, text_inputs, description, top_k=section.top_k)


def _warmup_texts(
    section: ExportConfig, description: ModelDescription
) -> Sequence[tuple[bytes, ...]]:
    """Those that are given, else the task's, else the package's."""
    if section.warmup_texts:
        return read_texts(section.warmup_texts)
    task = task_of(description)
    return (task.warmup_texts() if task else ()) or [(text,) for text in TEXTS]


def _write(model: ServingModel, directory: Path) -> None:
    tf.saved_model.save(model, str(directory), signatures=model.answers)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(directory))
    for name, method in model.methods.items():
        method_name = f"tensorflow/serving/{method}"
        updater.replace_method_name(name, method_name, tags=tf.saved_model.SERVING)
    updater.save()


def _check(
    directory: Path,
    model: ServingModel,
    requests: Sequence[WarmupRequest],
    *,
    folder: Path,
    section: ExportConfig,
    description: ModelDescription,
    serving_version: str,
) -> None:
    """Note the report in the folder.

    Raises:
        ValueError: it has faults.
    """
    log.info("Checking the export, in memory and in a process of its own: this takes a while.")
    expected = answers_of(model, requests)
    batches = make_batches(requests, description, pad_id=model.tokenizer.pad_id)
    report = check_servability(
        directory,
        expected,
        batches=batches,
        closeness=CLOSENESS[section.precision],
        serving_version=serving_version,
    )
    if section.precision != "float32":
        in_float32 = section.model_copy(update={"precision": "float32"})
        exact = _serving_model(in_float32, folder, description)
        rounded = answers_of(exact, requests), expected
        report = report.with_check(compare_with_float32(*rounded, task=task_of(description)))
    if report.faults:
        raise ValueError(
            "An export must be servable. Received:\n  "
            + "\n  ".join(report.faults)
            + "\nThe export is not published."
        )
    log.info("%s", report.describe())
    (directory / REPORT_FILE).write_text(json.dumps(report.as_json(), indent=2), encoding="utf-8")


def answers_of(
    model: ServingModel, requests: Sequence[WarmupRequest]
) -> list[dict[str, np.ndarray]]:
    """What the model in memory answers."""
    return [
        {
            name: value.numpy()
            for name, value in model.answers[request.signature_name](
                **{name: tf.constant(value) for name, value in request.arguments.items()}
            ).items()
        }
        for request in requests
    ]
