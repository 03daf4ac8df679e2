"""Hugging Face folders: `config.json` and safetensors, one file or shards.

In and out: BertModel, BertForPreTraining, -MaskedLM, -NextSentencePrediction,
-SequenceClassification, -TokenClassification, -QuestionAnswering. Pickled weights
(`pytorch_model.bin`) are never opened. Tokenizer files: `huggingface_tokenizer`; pooling of
sentence embeddings: `sentence_transformers`.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from bert_tf.config import ModelConfig
from bert_tf.conversion import huggingface_tokenizer, sentence_transformers
from bert_tf.conversion.checkpoint import (
    ForeignCheckpoint,
    Model,
    NameTables,
    refuse,
    unlike_bert,
)
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import (
    Entry,
    Reader,
    Shape,
    entries_from_table,
    open_safetensors,
    stored_tensors,
    weights_by_name,
)
from bert_tf.system.files import appearing, write_whole
from bert_tf.system.json_files import read_json
from bert_tf.system.listing import listed
from bert_tf.tasks.table import find_task, task_names, task_of
from bert_tf.tasks.tag_set import scheme_of
from bert_tf.tasks.texts import SEQUENCE_CLASSIFIER

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
SHARDS_FILE = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")

_LAYER = "bert.encoder.layer.{i}."
ENCODER_NAMES = {
    "encoder/embeddings/word_embeddings/embeddings": "bert.embeddings.word_embeddings.weight",
    "encoder/embeddings/position_embeddings/embeddings": (
        "bert.embeddings.position_embeddings.weight"
    ),
    "encoder/embeddings/token_type_embeddings/embeddings": (
        "bert.embeddings.token_type_embeddings.weight"
    ),
    "encoder/embeddings/layer_norm/gamma": "bert.embeddings.LayerNorm.weight",
    "encoder/embeddings/layer_norm/beta": "bert.embeddings.LayerNorm.bias",
    "encoder/layer_{i}/attention/query_key_value/kernel": _LAYER + "attention.self.{qkv}.weight",
    "encoder/layer_{i}/attention/query_key_value/bias": _LAYER + "attention.self.{qkv}.bias",
    "encoder/layer_{i}/attention/output/kernel": _LAYER + "attention.output.dense.weight",
    "encoder/layer_{i}/attention/output/bias": _LAYER + "attention.output.dense.bias",
    "encoder/layer_{i}/attention_layer_norm/gamma": _LAYER + "attention.output.LayerNorm.weight",
    "encoder/layer_{i}/attention_layer_norm/beta": _LAYER + "attention.output.LayerNorm.bias",
    "encoder/layer_{i}/intermediate/kernel": _LAYER + "intermediate.dense.weight",
    "encoder/layer_{i}/intermediate/bias": _LAYER + "intermediate.dense.bias",
    "encoder/layer_{i}/output/kernel": _LAYER + "output.dense.weight",
    "encoder/layer_{i}/output/bias": _LAYER + "output.dense.bias",
    "encoder/layer_{i}/output_layer_norm/gamma": _LAYER + "output.LayerNorm.weight",
    "encoder/layer_{i}/output_layer_norm/beta": _LAYER + "output.LayerNorm.bias",
}
POOLER_NAMES = {
    "encoder/pooler/dense/kernel": "bert.pooler.dense.weight",
    "encoder/pooler/dense/bias": "bert.pooler.dense.bias",
}
MASKED_LM_NAMES = {
    "masked_lm/dense/kernel": "cls.predictions.transform.dense.weight",
    "masked_lm/dense/bias": "cls.predictions.transform.dense.bias",
    "masked_lm/layer_norm/gamma": "cls.predictions.transform.LayerNorm.weight",
    "masked_lm/layer_norm/beta": "cls.predictions.transform.LayerNorm.bias",
    "masked_lm/bias": "cls.predictions.bias",
}
NEXT_SENTENCE_NAMES = {
    "next_sentence/dense/kernel": "cls.seq_relationship.weight",
    "next_sentence/dense/bias": "cls.seq_relationship.bias",
}
CLASSIFIER_NAMES = {
    "head/dense/kernel": "classifier.weight",
    "head/dense/bias": "classifier.bias",
}
ANSWER_NAMES = {
    "head/dense/kernel": "qa_outputs.weight",
    "head/dense/bias": "qa_outputs.bias",
}
NAMES = NameTables(
    encoder=ENCODER_NAMES,
    pooler=POOLER_NAMES,
    masked_lm=MASKED_LM_NAMES,
    next_sentence=NEXT_SENTENCE_NAMES,
    heads={
        "classification": CLASSIFIER_NAMES,
        "token_classification": CLASSIFIER_NAMES,
        "question_answering": ANSWER_NAMES,
    },
)
TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
"""Second names of tensors that the model has once."""
BUFFERS = ("bert.embeddings.position_ids", "bert.embeddings.token_type_ids")
"""0, 1, 2, … and zeros: saved by old versions, no weights."""

ACTIVATIONS = {
    "gelu_python": "gelu_exact",
    "gelu": "gelu_exact",
    "gelu_fast": "gelu",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
}
"""Their `gelu` is the exact one, ours Google's tanh approximation. Of several the last is
written."""
ARCHITECTURE = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "layer_norm_eps",
)
"""Settings that have one name there and here."""
ONLY = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
"""Settings of which this is the one supported value, and the default."""
USUAL_PROBLEM = "single_label_classification"
CLASSES = {
    "encoder": "BertModel",
    "token_classification": "BertForTokenClassification",
    "question_answering": "BertForQuestionAnswering",
}


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is such a folder."""
    if not (path / CONFIG_FILE).is_file():
        return False
    return any((path / name).is_file() for name in (WEIGHTS_FILE, SHARDS_FILE, *PICKLES))


def open_checkpoint(path: Path, *, lower_case: bool | None = None) -> ForeignCheckpoint:
    """Open a folder.

    Args:
        lower_case: see `huggingface_tokenizer.read_tokenizer`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is damaged, or its settings ask for what this package does not do.
    """
    config = read_json(path / CONFIG_FILE)
    architecture = _read_architecture(config, source=str(path / CONFIG_FILE))
    stored, read_stored = open_safetensors(_weight_files(path))
    spelling = _standard_names(stored, source=str(path))
    shapes, read = _untie(
        {name: stored[spelled] for name, spelled in spelling.items()},
        lambda name: read_stored(spelling[name]),
        source=str(path),
    )
    description = _describe(path, config, architecture, shapes)
    return ForeignCheckpoint(
        source=str(path),
        description=description,
        tokenizer=huggingface_tokenizer.read_tokenizer(
            path, vocab_size=int(config["vocab_size"]), lower_case=lower_case
        ),
        entries=entries(description),
        shapes=shapes,
        read=read,
    )


def write_checkpoint(model: Model, directory: Path, *, target: Path | None = None) -> None:
    """Write a folder that `transformers` (and, with pooling, `sentence-transformers`) loads.

    Args:
        target: where `directory` will be moved to, for messages.

    Raises:
        ValueError: the model has what this format cannot say; nothing was written then.
    """
    description = model.description
    faults = unlike_bert(description.architecture)
    if description.kind == "encoder" and description.pooling == "pooler":
        faults += ["normalize_embeddings with pooling=pooler"] * description.normalize_embeddings
    refuse(
        str(target or directory),
        faults,
        what="only BERT as Hugging Face has it can be written for it.",
    )
    directory.mkdir(parents=True, exist_ok=True)
    tensors = dict(stored_tensors(weights_by_name(model.network), entries(description)))
    if description.kind == "encoder":
        tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
        sentence_transformers.write_modules(description, directory)
    with appearing(directory / WEIGHTS_FILE) as path:
        safetensors.numpy.save_file(tensors, path, metadata={"format": "pt"})
    pad_id = 0
    if model.tokenizer is not None:
        pad_id = model.tokenizer.pad_id
        huggingface_tokenizer.write_tokenizer(
            model.tokenizer, directory, max_length=description.max_seq_length
        )
    elif description.max_seq_length < description.architecture.max_position_embeddings:
        logger.warning(
            "%s: without a tokenizer these files cannot say max_seq_length=%d",
            target or directory,
            description.max_seq_length,
        )
    config = _config(description, pad_id=pad_id)
    write_whole(directory / CONFIG_FILE, json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _weight_files(path: Path) -> list[Path]:
    if (path / WEIGHTS_FILE).is_file():
        return [path / WEIGHTS_FILE]
    if (path / SHARDS_FILE).is_file():
        weight_map = read_json(path / SHARDS_FILE).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ValueError(
                f"{path / SHARDS_FILE}: weight_map must say which shard holds which tensor. "
                f"Received: {weight_map!r}."
            )
        shards = sorted({Path(str(name)).name for name in weight_map.values()})
        missing = [name for name in shards if not (path / name).is_file()]
        refuse(str(path / SHARDS_FILE), missing, what="every shard must be there; these are not.")
        return [path / name for name in shards]
    raise FileNotFoundError(
        f"{path}: weights must be in {WEIGHTS_FILE}, or in shards listed by {SHARDS_FILE}. "
        "Received: neither. Pickled weights (pytorch_model.bin) can run code and are never "
        "opened: where you trust them, load them with transformers and save them again with "
        "`save_pretrained`."
    )


def _read_architecture(config: Mapping[str, Any], *, source: str) -> ModelConfig:
    faults = [f"missing: {name}" for name in ARCHITECTURE[:5] if name not in config]
    faults += [
        f"{name}={config[name]!r}, where only {value!r} is supported"
        for name, value in ONLY.items()
        if config.get(name, value) != value
    ]
    activation = config.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS:
        faults.append(f"hidden_act={activation!r}, where one of {list(ACTIVATIONS)} is supported")
    refuse(source, faults, what="must describe a BERT encoder.")
    known = {name: config[name] for name in ARCHITECTURE if name in config}
    return ModelConfig(**known, hidden_act=ACTIVATIONS[activation])


def _standard_names(stored: Mapping[str, Shape], *, source: str) -> dict[str, str]:
    """The tables' names to the file's: some lack `bert.`, old ones say gamma and beta."""
    names: dict[str, str] = {}
    faults = []
    for name in stored:
        standard = name.replace("LayerNorm.gamma", "LayerNorm.weight")
        standard = standard.replace("LayerNorm.beta", "LayerNorm.bias")
        if standard.startswith(("embeddings.", "encoder.", "pooler.")):
            standard = f"bert.{standard}"
        if standard in names:
            faults.append(f"{names[standard]} and {name}")
        elif standard not in BUFFERS:
            names[standard] = name
    refuse(source, faults, what="a tensor must stand there once.")
    return names


def _untie(
    shapes: Mapping[str, Shape], read: Reader, *, source: str
) -> tuple[dict[str, Shape], Reader]:
    """Without second names, which must hold the same numbers as the first."""
    first_names = {}
    faults = []
    for second, first in TIED.items():
        if second not in shapes:
            continue
        if first not in shapes:
            first_names[first] = second
        elif not np.array_equal(read(second), read(first)):
            faults.append(f"{second} differs from {first}")
    refuse(source, faults, what="the masked-LM head must share the token embeddings.")
    kept = {name: shape for name, shape in shapes.items() if name not in TIED}
    kept |= {first: shapes[second] for first, second in first_names.items()}
    return kept, lambda name: read(first_names.get(name, name))


def _describe(
    path: Path, config: Mapping[str, Any], architecture: ModelConfig, names: Mapping[str, Shape]
) -> ModelDescription:
    """What the tensors that are there make: `architectures` is often that of another file."""

    def has(table: Mapping[str, str]) -> bool:
        return any(name in names for name in table.values())

    limits = huggingface_tokenizer.max_length(path), architecture.max_position_embeddings
    about: dict[str, Any] = {
        "architecture": architecture,
        "max_seq_length": min(length for length in limits if length),
        "has_pooler": has(POOLER_NAMES),
    }
    modules = sentence_transformers.read_modules(path)
    if has(MASKED_LM_NAMES) or has(NEXT_SENTENCE_NAMES):
        about |= {
            "kind": "pretraining",
            "has_masked_lm": has(MASKED_LM_NAMES),
            "has_next_sentence": has(NEXT_SENTENCE_NAMES),
            "has_pooler": has(POOLER_NAMES) or has(NEXT_SENTENCE_NAMES),
        }
    elif has(ANSWER_NAMES):
        about["kind"] = "question_answering"
    elif has(CLASSIFIER_NAMES):
        about |= _describe_classes(path, config, names)
    else:
        modules["max_seq_length"] = min(
            about["max_seq_length"], modules.get("max_seq_length", about["max_seq_length"])
        )
        about |= {"kind": "encoder", "pooling": "pooler" if about["has_pooler"] else "mean"}
        about |= modules
    if modules and about["kind"] != "encoder":
        raise ValueError(
            f"{path}: a sentence-embedding model must be an encoder without a head. Received: "
            f"{sentence_transformers.MODULES_FILE}, and the tensors of a {about['kind']} model."
        )
    return ModelDescription.model_validate(about)


def _describe_classes(
    path: Path, config: Mapping[str, Any], names: Mapping[str, Shape]
) -> dict[str, Any]:
    sizes = [names[name][0] for name in CLASSIFIER_NAMES.values() if names.get(name)]
    labels = config.get("id2label") or {}
    num_classes = sizes[0] if sizes else len(labels)
    is_of_tokens = "BertForTokenClassification" in (config.get("architectures") or ())
    class_names = [labels.get(str(index), f"LABEL_{index}") for index in range(num_classes)]
    scheme = scheme_of(class_names) if is_of_tokens else None
    task = _task_of_class(config)
    if task is not None:
        kind = task
    elif is_of_tokens:
        kind = "token_labels" if scheme else "token_classification"
    else:
        kind = _kind(path, config, num_classes)
    is_named = is_of_tokens or find_task(kind).has_class_names
    # Of others it is the default of two names, whatever the outputs.
    if is_named and labels and set(labels) != {str(index) for index in range(num_classes)}:
        raise ValueError(
            f"{path / CONFIG_FILE}: id2label must name the {num_classes} outputs. Received: "
            f"{listed(f'{index}: {name}' for index, name in labels.items())}."
        )
    dropout = config.get("classifier_dropout")
    return {
        "kind": kind,
        # Missing tensors are told with all others.
        "has_pooler": not is_of_tokens or POOLER_NAMES["encoder/pooler/dense/kernel"] in names,
        "class_names": class_names if is_named else [],
        "has_text_pairs": task is not None,
        "task_state": {"settings": {"model_scheme": scheme}} if scheme == "iobes" else {},
        "classifier_dropout_prob": (
            config.get("hidden_dropout_prob", 0.1) if dropout is None else dropout
        ),
    }


def _task_of_class(config: Mapping[str, Any]) -> str | None:
    """The task whose class alone tells its head from others on the pooled output."""
    known = {
        head.architecture: name
        for name in task_names()
        if (task := find_task(name)).head_layout == "classification"
        and (head := task.foreign_head) is not None
        and head.problem_type is None
        and head.architecture != SEQUENCE_CLASSIFIER
    }
    given = config.get("architectures") or ()
    return next((known[name] for name in given if name in known), None)


def _kind(path: Path, config: Mapping[str, Any], num_outputs: int) -> str:
    """The task of a head on the pooled output, by `problem_type`; without one, by its outputs.

    Source: transformers, BertForSequenceClassification.forward: one output is a regression.
    """
    given = config.get("problem_type")
    guessed = "regression" if num_outputs == 1 else USUAL_PROBLEM
    heads = {name: find_task(name).foreign_head for name in task_names()}
    kinds = {
        head.problem_type: name
        for name, head in heads.items()
        if head is not None and head.problem_type is not None
    }
    if (given or guessed) in kinds:
        return kinds[given or guessed]
    known = sorted(kinds)
    raise ValueError(
        f"{path}: problem_type must be one of {', '.join(known)}. Received: "
        f"problem_type={given!r}, {num_outputs} outputs."
    )


def entries(description: ModelDescription) -> list[Entry]:
    """Which tensors of theirs make up each weight of a model."""
    return entries_from_table(
        NAMES.of(description),
        num_layers=description.architecture.num_hidden_layers,
        layout=lambda ours: {"is_transposed": ours.endswith("kernel")},
    )


def _config(description: ModelDescription, *, pad_id: int) -> dict[str, Any]:
    architecture = description.architecture
    config: dict[str, Any] = {
        "architectures": [_class_name(description)],
        **ONLY,
        **{name: getattr(architecture, name) for name in ARCHITECTURE},
        # Of two names for the tanh approximation the last one: PyTorch's own kernel.
        "hidden_act": {ours: theirs for theirs, ours in ACTIVATIONS.items()}[
            architecture.hidden_act
        ],
        "pad_token_id": pad_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    task = task_of(description)
    names = description.class_names
    if task is not None and task.foreign_head is not None:
        if task.foreign_head.problem_type not in (None, USUAL_PROBLEM):
            config["problem_type"] = task.foreign_head.problem_type
        names = names or tuple(f"LABEL_{index}" for index in range(task.num_outputs(description)))
    if names:
        config["classifier_dropout"] = description.classifier_dropout_prob
        config["id2label"] = {str(index): name for index, name in enumerate(names)}
        config["label2id"] = {name: index for index, name in enumerate(names)}
    return config


def _class_name(description: ModelDescription) -> str:
    task = task_of(description)
    if task is not None and task.foreign_head is not None:
        return task.foreign_head.architecture
    if description.kind != "pretraining":
        return CLASSES[description.kind]
    if description.has_masked_lm and description.has_next_sentence:
        return "BertForPreTraining"
    return "BertForMaskedLM" if description.has_masked_lm else "BertForNextSentencePrediction"
