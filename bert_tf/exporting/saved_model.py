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

import tensorflow as tf

from bert_tf.config import CONFIG_FILE, TRAINING_CONFIG_FILE, Config, ExportConfig, write_config
from bert_tf.data.text.tokenizer import TOKENIZER_FILES
from bert_tf.exporting.accuracy import read_evaluation
from bert_tf.exporting.export_checks import ExportChecker
from bert_tf.exporting.int8 import QUANTIZATION_FILE, QuantizedLayer
from bert_tf.exporting.servability import REPORT_FILE
from bert_tf.exporting.serving_ops import NEWEST, missing_in
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.source import Source
from bert_tf.exporting.version_folders import publish
from bert_tf.exporting.warmup import TEXTS, WarmupRequest, make_requests, read_texts, write_requests
from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription, load_description
from bert_tf.system.files import hidden_folder
from bert_tf.system.output_folder import check_folder, owned_folder
from bert_tf.tasks.table import task_of

log = logging.getLogger(__name__)

COPIED = ("model.json", *TOKENIZER_FILES, "metrics.json", "provenance.json")


def export_model(
    config: Config, output_dir: str | Path, *, check: bool = True, serving_version: str = NEWEST
) -> Path:
    """Write `export.model` as the next version below `output_dir` (BASE/NAME).

    Returns the version's folder. Its `assets.extra` holds the model's description, metrics and
    vocabulary, `config.yaml` of this export and `training.yaml`, the one of the training, the
    warm-up requests and what was checked (`servability.json`); of `int8` what each product lost
    (`quantization.json`).

    Args:
        check: load it in a fresh process and compare, see `servability.check_servability`.
        serving_version: of the TensorFlow Serving that is to take it, such as `2.16`.

    Raises:
        ValueError: `output_dir` holds something else. TF Serving would not take the SavedModel,
            or it answers differently from the model in memory, or alone and in a batch, or too far
            from float32. There is no new version then.
    """
    missing_in(serving_version)  # a version that is not known is told at once
    check_folder(output_dir, command="export")
    source = Source.of(config)
    evaluation = read_evaluation(config, source.description) if check else None
    model, layers = source.serving_model()
    texts = _warmup_texts(source.section, source.description)
    requests = make_requests(
        model.answers,
        model.text_inputs,
        texts,
        methods=model.methods,
        example_names=model.input_names,
        settings=model.row_settings,
    )
    with (
        owned_folder(output_dir, command="export", is_shared=True) as base,
        hidden_folder(base, prefix=".exporting-") as temporary,
    ):
        _write(model, temporary, requests)
        _write_extra(source, layers, temporary)
        if check:
            checker = ExportChecker(source, requests, evaluation, serving_version, write=_write)
            report = checker.check(model, temporary)
            log.info("%s", report.describe())
            text = json.dumps(report.as_json(), indent=2)
            (temporary / REPORT_FILE).write_text(text, encoding="utf-8")
        return publish(temporary, base)


def _warmup_texts(
    section: ExportConfig, description: ModelDescription
) -> Sequence[tuple[bytes, ...]]:
    """Those that are given, else the task's, else the package's."""
    task = task_of(description)
    if section.warmup_texts:
        rows = read_texts(section.warmup_texts)
        return rows if task is None else [task.texts_of_parts(parts) for parts in rows]
    return (task.warmup_texts() if task else ()) or [(text,) for text in TEXTS]


def _write(model: ServingModel, directory: Path, requests: Sequence[WarmupRequest]) -> None:
    tf.saved_model.save(model, str(directory), signatures=model.answers)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(directory))
    for name, method in model.methods.items():
        method_name = f"tensorflow/serving/{method}"
        updater.replace_method_name(name, method_name, tags=tf.saved_model.SERVING)
    updater.save()
    write_requests(requests, directory)


def _write_extra(source: Source, layers: Sequence[QuantizedLayer], directory: Path) -> None:
    extra = directory / "assets.extra"
    for name in COPIED:
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, extra / name)
    if source.description != load_description(source.folder):  # not served as it was trained
        text = source.description.as_json()
        (extra / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
    if (source.folder / CONFIG_FILE).is_file():
        shutil.copyfile(source.folder / CONFIG_FILE, extra / TRAINING_CONFIG_FILE)
    write_config(source.config, extra)
    if layers:
        told = [layer.as_json() for layer in layers]
        (extra / QUANTIZATION_FILE).write_text(json.dumps(told, indent=2), encoding="utf-8")
