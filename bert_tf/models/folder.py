"""A trained model on disk: `model.json` (what it is) and `model.safetensors` (its weights).

Weights are named by their place in the model (`encoder/layer_0/attention/output/kernel`) and are
always float32. Query, key and value, one matrix in the layer, are three tensors in the file. The
tokenizer's files stand in the same folder; `bert_tf.data` reads those.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import safetensors.numpy

from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.classifier import BertClassifier, BertQuestionAnswerer, BertTokenClassifier
from bert_tf.models.description import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    ModelDescription,
    load_description,
)
from bert_tf.models.embedder import BertEmbedder
from bert_tf.models.pretrainer import BertPretrainer
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.models.tensors import (
    Entry,
    load_tensors,
    open_safetensors,
    stored_tensors,
    weights_by_name,
)
from bert_tf.system.files import appearing, file_sha256, write_whole

logger = logging.getLogger(__name__)

SEQUENCE_TO_SEQUENCE = "sequence_to_sequence"
ENCODER, POOLER = "encoder/", "encoder/pooler/"
HEADED: dict[str, tuple[type[BertClassifier], int | None]] = {
    "classification": (BertClassifier, None),
    "token_classification": (BertTokenClassifier, None),
    "question_answering": (BertQuestionAnswerer, 2),
}
"""Heads by the kind of the model: its class, and its outputs where they are not the classes."""


def build_model(
    description: ModelDescription, *, dtype: str = "float32", rematerialize: bool = False
) -> keras.Model:
    """A model with random weights, all of them created.

    Args:
        dtype: a Keras dtype policy, such as `mixed_bfloat16`.
        rematerialize: see `BertEncoder`.
    """
    inputs = dict.fromkeys(ENCODER_INPUTS, (None, None))
    architecture = description.architecture
    common: dict[str, Any] = {
        "has_pooler": description.has_pooler,
        "rematerialize": rematerialize,
        "dtype": dtype,
    }
    model: keras.Model
    if description.kind == "pretraining":
        model = BertPretrainer(
            architecture,
            has_masked_lm=description.has_masked_lm,
            has_next_sentence=description.has_next_sentence,
            **common,
        )
        inputs["masked_lm_positions"] = (None, None)
    elif description.kind == "encoder":
        return BertEmbedder.from_description(description, dtype=dtype, rematerialize=rematerialize)
    elif description.kind == SEQUENCE_TO_SEQUENCE:
        model = EncoderDecoder(architecture, **common)
    elif description.kind in HEADED:
        headed, num_classes = HEADED[description.kind]
        return headed.from_description(
            description,
            num_classes=num_classes or len(description.class_names),
            dtype=dtype,
            rematerialize=rematerialize,
        )
    else:
        raise ValueError(
            "kind must be one of encoder, pretraining, "
            f"{', '.join((SEQUENCE_TO_SEQUENCE, *HEADED))}. Received: "
            f"{description.kind!r}. The model of a task is built by the task (`tasks.models`)."
        )
    model.build(inputs)
    return model


def save_model(
    model: keras.Model,
    description: ModelDescription,
    directory: str | Path,
    *,
    tied_files: Iterable[str] = (),
) -> None:
    """Write description and weights into `directory`; the description, last, makes it valid.

    Args:
        tied_files: files of the folder that the model was trained with, such as its vocabulary:
            whoever reads the description refuses them once they are others.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    digests = {name: file_sha256(directory / name) for name in tied_files}
    description = description.model_copy(update={"files_sha256": digests})
    weights = weights_by_name(model)
    with appearing(directory / WEIGHTS_FILE) as path:
        safetensors.numpy.save_file(dict(stored_tensors(weights, _entries(weights))), path)
    write_whole(directory / DESCRIPTION_FILE, description.as_json().encode())


def load_weights(model: keras.Model, directory: str | Path) -> None:
    """Set every weight of a model from the folder that it was saved in.

    Raises:
        ValueError: lists all missing, unexpected and mis-shaped tensors; nothing is set then.
    """
    _load(model, directory, parts=("",))


def load_encoder(model: keras.Model, directory: str | Path) -> None:
    """Set the weights of the model's encoder from a stored model of any kind.

    A pooler that the stored model does not have keeps its random weights, and the log says so; one
    that the model does not have is left out.

    Raises:
        ValueError: lists all missing, unexpected and mis-shaped tensors; nothing is set then.
    """
    _load(model, directory, parts=(ENCODER,), without=_poolers_left_out(model, directory))


def load_pretrainer(model: keras.Model, directory: str | Path) -> None:
    """`load_encoder`, and of the pretraining heads those that the stored model has.

    A head that it does not have keeps its random weights, and the log says so.
    """
    stored = load_description(directory)
    parts = [ENCODER]
    for head in ("masked_lm", "next_sentence"):
        is_stored = stored.kind == "pretraining" and getattr(stored, f"has_{head}")
        if is_stored and getattr(model, f"has_{head}"):
            parts.append(f"{head}/")
        elif getattr(model, f"has_{head}"):
            logger.warning(
                "%s has no %s head: a new one is trained from random weights.", directory, head
            )
    without = _poolers_left_out(model, directory)
    _load(model, directory, parts=tuple(parts), without=without)


def _poolers_left_out(model: keras.Model, directory: str | Path) -> str | None:
    """The prefix of the pooler's names, unless both have one."""
    is_stored = load_description(directory).has_pooler
    if model.has_pooler and not is_stored:
        logger.warning("%s has no pooler: a new one is trained from random weights.", directory)
    return None if model.has_pooler and is_stored else POOLER


def _load(
    model: keras.Model,
    directory: str | Path,
    *,
    parts: tuple[str, ...],
    without: str | None = None,
) -> None:
    path = Path(directory) / WEIGHTS_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the weights must be there. Received: no such file. Copy the folder again."
        )

    def is_wanted(name: str) -> bool:
        return name.startswith(parts) and not (without and name.startswith(without))

    weights = {name: w for name, w in weights_by_name(model).items() if is_wanted(name)}
    shapes, read = open_safetensors([path])
    load_tensors(
        weights,
        _entries(weights),
        shapes={name: shape for name, shape in shapes.items() if is_wanted(name)},
        read=read,
        source=str(path),
    )


def _entries(names: Iterable[str]) -> list[Entry]:
    """Our own file's layout: our names, but query, key and value apart."""
    fused = "query_key_value"
    return [
        Entry(name, tuple(name.replace(fused, part) for part in ("query", "key", "value")))
        if fused in name
        else Entry(name, (name,))
        for name in names
    ]
