"""Steps from text to a measured, exported model: each is one call into `bert_tf`."""

import functools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bert_tf.cli.progress import progress_shown
from bert_tf.config import Config, ModelConfig, TableConfig, required
from bert_tf.models.description import DESCRIPTION_FILE, WEIGHTS_FILE
from bert_tf.system.lookalikes import path_hint
from pipelines.engine.step import Context, find_result
from pipelines.steps.ingest import (
    DOCUMENTS_FILE,
    EVAL_FILE,
    READ_FILE,
    TRAIN_FILE,
    corpus_files,
    read_corpus_summary,
)
from pipelines.steps.kept_data import kept

TOKENIZER_FILES = ("vocab.txt|spm.model", "tokenizer.json")
"""Of either kind of tokenizer."""
MODEL_FILES = (DESCRIPTION_FILE, WEIGHTS_FILE, *TOKENIZER_FILES)
RECORDS_FILES = ("manifest.json", *TOKENIZER_FILES)

CLASSIFIER = "finetune"
TRAINED_ENCODER = "continue_pretraining|pretrain"
"""Steps that train an encoder, which is then exported and registered."""
_BASE = "fetch_encoder|import_checkpoint"
"""What a continued pretraining starts from."""
ENCODER = f"{TRAINED_ENCODER}|{_BASE}"
"""Steps that have the encoder a classifier is made on, the newest first."""
_FEWEST_HELD_OUT = 2  # a second sentence comes from another document
_DOCUMENTS_A_SHARD = 100


# --- the encoder


def import_checkpoint(context: Context) -> None:
    """A published checkpoint as a model folder."""
    from bert_tf.conversion.convert import convert_checkpoint

    source = _checkpoint(context.config)
    target = context.directory / "model"
    shutil.rmtree(target, ignore_errors=True)
    convert_checkpoint(str(source), target, target_format="bert-tf")


def checkpoint_files(config: Config) -> list[Path]:
    """What `import_checkpoint` reads."""
    source = _checkpoint(config)
    return sorted(file for file in source.rglob("*") if file.is_file())


def _checkpoint(config: Config) -> Path:
    name = required(config.flow.checkpoint, key="flow.checkpoint", what="a checkpoint's folder")
    if not Path(name).is_dir():
        raise FileNotFoundError(
            f"{name}: flow.checkpoint must be a folder. Received: none there. Set it to "
            f"the folder of a checkpoint that `bert-tf convert` reads.{path_hint(name)}"
        )
    return Path(name)


def vocabulary(context: Context) -> None:
    """A vocabulary of the corpus."""
    from bert_tf.data.text.learning import learn_tokenizer

    learn_tokenizer(_of_corpus(context), context.directory, on_progress=context.show)


def is_vocabulary_given(context: Context) -> str | None:
    """Why none is learnt."""
    given = context.config.tokenizer.vocabulary
    return given and f"tokenizer.vocabulary is {given}"


def prepare(context: Context) -> None:
    """Sentence pairs as TFRecord files, of the corpus or of what is new in it."""
    from bert_tf.data.preparation.local_processes import run_locally
    from bert_tf.data.preparation.prepare import prepare_records
    from bert_tf.data.preparation.ray_tasks import run_on_ray
    from bert_tf.system.ray_cluster import LOCAL

    flow, base = context.config.flow, context.find(_BASE)
    config = _of_corpus(context)
    tokens = base or context.find("vocabulary")
    if tokens is not None:
        tokenizer = config.tokenizer.model_copy(update={"vocabulary": str(tokens)})
        config = config.model_copy(update={"tokenizer": tokenizer})
    on_ray = functools.partial(run_on_ray, address=flow.ray_address or LOCAL)
    engine = on_ray if flow.engine == "ray" else run_locally
    prepare_records(config, context.directory, engine=engine, on_progress=context.show)


def pretrain(context: Context) -> None:
    """A BERT from random weights."""
    _pretrain(context, pretrained=context.config.pretraining.pretrained)


def continue_pretraining(context: Context) -> None:
    """The encoder goes on with text that it has not read, some times over."""
    from bert_tf.data.records import read_manifest

    num_examples = read_manifest(context.folder("prepare")).num_examples("train")
    batch_size = context.config.pretraining.training.batch_size
    num_steps = math.ceil(context.config.flow.continued_epochs * num_examples / batch_size)
    _pretrain(context, pretrained=str(context.folder(_BASE)), num_train_steps=num_steps)


def _pretrain(context: Context, *, pretrained: str | None, **section: Any) -> None:
    if context.config.pretraining.phases:
        raise ValueError(
            "pretraining.phases must be unset in a flow, which prepares one set of records. "
            "Received: phases. Use `bert-tf pretrain`."
        )
    section |= {"records": str(kept(context.folder("prepare"), context)), "pretrained": pretrained}
    config = context.with_settings(pretraining=section)
    _train("pretrain", config, context)
    # What the encoder has read by now goes with it, from version to version.
    shutil.copyfile(context.folder("ingest") / READ_FILE, context.directory / READ_FILE)


def has_too_little_new(context: Context) -> str | None:
    """Why nothing is to be read by an encoder that is there."""
    config, summary = context.config, read_corpus_summary(context)
    number, held_out = summary["num_new"], summary["num_new_held_out"]
    if number == 0:
        return "0 new documents"
    if number < config.flow.min_new_documents:
        least = f"flow.min_new_documents={config.flow.min_new_documents}"
        return f"{number} new documents, fewer than {least}: left for later"
    if config.corpus.held_out_share and held_out < _FEWEST_HELD_OUT:
        return f"{number} new documents, {held_out} of them held out: {_FEWEST_HELD_OUT} are needed"
    return None


def _of_corpus(context: Context) -> Config:
    """The files; for an encoder that has read before what is new to it, in shards to match."""
    summary = read_corpus_summary(context)
    if not summary["num_read_before"]:
        return context.with_settings(corpus={"paths": tuple(summary["paths"])})
    most = context.config.records.num_shards
    return context.with_settings(
        corpus={"paths": (str(context.folder("ingest") / DOCUMENTS_FILE),)},
        records={"num_shards": min(most, max(1, summary["num_new"] // _DOCUMENTS_A_SHARD))},
    )


# --- the classifier


def finetune(context: Context) -> None:
    """A classifier on the encoder."""
    _train("finetune", _of_labelled(context), context)


def evaluate(context: Context) -> None:
    """The classifier on held-out texts, with intervals; in float32 on one device."""
    from bert_tf.training.stages.evaluation import evaluate_model

    config = _of_labelled(context)
    data = {"model": str(context.folder("finetune")), "data": config.finetuning.eval_path}
    section = config.evaluation.model_copy(update=data)
    evaluate_model(
        config.model_copy(update={"evaluation": section}),
        context.directory,
        tracking_uri=context.tracking_uri,
    )


def _of_labelled(context: Context) -> Config:
    section: dict[str, Any] = {}
    if (encoder := context.find(ENCODER)) is not None:  # else `finetuning.pretrained` is given
        section["pretrained"] = str(encoder)
    folder = context.find("labelled")
    if folder is not None:
        section |= {
            "train_path": str(kept(folder / TRAIN_FILE, context)),
            "eval_path": str(kept(folder / EVAL_FILE, context)),
            "table": TableConfig(),  # of the files that people dropped, not of these
        }
    return context.with_settings(finetuning=section)


def own_split(context: Context) -> str | None:
    """Why labelled texts are not divided."""
    section = context.config.finetuning
    if section.train_path and section.eval_path:
        return "finetuning.train_path and eval_path are given"
    return None


def given_vocabulary_files(config: Config) -> list[Path]:
    """Those of `tokenizer.vocabulary`."""
    given = config.tokenizer.vocabulary
    if given is None:
        return []
    folder = Path(given) if Path(given).is_dir() else Path(given).parent
    files = (*(find_result(folder, names) for names in reversed(TOKENIZER_FILES)), Path(given))
    return [path for path in dict.fromkeys(files) if path.is_file()]


def model_files(folder: str | None) -> list[Path]:
    """Those of a model folder that training starts from, if one is named."""
    return [find_result(Path(folder), names) for names in MODEL_FILES] if folder else []


def own_split_files(config: Config) -> list[Path]:
    """The labelled files that the configuration names itself."""
    from bert_tf.data.tables.reading import named_files

    paths = (config.finetuning.train_path, config.finetuning.eval_path)
    return [file for path in paths if path for file in named_files(path)]


# --- both


def export(context: Context, *, model: str = CLASSIFIER) -> None:
    """What the step `model` trained as a SavedModel, checked, in a folder of versions."""
    from bert_tf.exporting.saved_model import export_model

    for earlier in context.directory.glob("[0-9]*"):  # of an interrupted attempt
        shutil.rmtree(earlier)
    config = context.with_settings(export={"model": str(context.folder(model))})
    export_model(config, context.directory)


def export_encoder(context: Context) -> None:
    """The pretrained model as a SavedModel."""
    export(context, model=TRAINED_ENCODER)


def _train(stage: Any, config: Config, context: Context) -> None:
    flow = config.flow
    options: dict[str, Any] = {
        "tracking_uri": context.tracking_uri,
        "on_progress": progress_shown(context.show, stage),
        "is_stop_requested": context.is_stop_requested,
    }
    if flow.engine == "ray":
        from bert_tf.training.workers.ray_train import train_on_ray

        options |= {"address": flow.ray_address} if flow.ray_address else {}
        train_on_ray(stage, config, context.directory, num_workers=flow.num_workers, **options)
        return
    from bert_tf.training.stages.by_name import stage_function

    train: Callable[..., Any] = stage_function(stage)
    train(config, context.directory, **options)


# --- what they take on the disk


def records_bytes(context: Context) -> int:
    """Spooled text and records; half of that where packed text is unpacked is not known before."""
    return 3 * sum(path.stat().st_size for path in corpus_files(context.config))


def training_bytes(context: Context) -> int:
    """The model, and of each checkpoint the weights with two numbers a weight of the optimizer."""
    from bert_tf.models.description import load_description

    found = context.find(ENCODER)
    architecture = load_description(found).architecture if found else context.config.model
    return 4 * num_weights(architecture) * (1 + 3 * 3)


def export_bytes(context: Context, *, model: str = CLASSIFIER) -> int:
    """A SavedModel of what the step `model` trained, twice while it is checked."""
    return 2 * (context.folder(model) / WEIGHTS_FILE).stat().st_size


def num_weights(model: ModelConfig) -> int:
    """About the weights of an encoder."""
    layer = 4 * model.hidden_size**2 + 2 * model.hidden_size * model.intermediate_size
    embeddings = (model.vocab_size or 30_522) + model.max_position_embeddings
    return model.num_hidden_layers * layer + embeddings * model.hidden_size
