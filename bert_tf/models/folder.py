"""A trained model on disk: `model.json` (what it is) and `model.safetensors` (its weights).

Weights are named by their place in the model (`encoder/layer_0/attention/output/kernel`) and are
always float32. Query, key and value, one matrix in the layer, are three tensors in the file. The
tokenizer's files stand in the same folder; `bert_tf.data` reads those.
"""

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import keras
import pydantic
import safetensors.numpy

from bert_tf.config import ModelConfig
from bert_tf.files import appearing, write_whole
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.embedding import BertEmbedder
from bert_tf.models.finetuning import BertClassifier, BertQuestionAnswerer, BertTokenClassifier
from bert_tf.models.pretraining import BertPretrainer
from bert_tf.models.tensors import (
    Entry,
    load_tensors,
    open_safetensors,
    stored_tensors,
    weights_by_name,
)

logger = logging.getLogger(__name__)

DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
ENCODER, POOLER = "encoder/", "encoder/pooler/"


class ModelDescription(pydantic.BaseModel):
    """What must be known to build a model again and to feed it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    kind: Literal[
        "encoder", "pretraining", "classification", "token_classification", "question_answering"
    ]
    architecture: ModelConfig
    max_seq_length: pydantic.PositiveInt
    class_names: tuple[str, ...] = ()
    has_text_pairs: bool = False
    has_masked_lm: bool = True
    """Of a `pretraining` model: whether it has the masked-LM head."""
    has_next_sentence: bool = True
    """Of a `pretraining` model: whether it has the next-sentence head."""
    has_pooler: bool = True
    classifier_dropout_prob: float = pydantic.Field(default=0.0, ge=0.0, lt=1.0)
    pooling: Literal["pooler", "cls", "mean", "mean_sqrt_len", "max"] = "pooler"
    """Of an `encoder`: what a sequence's embedding is made of (see `BertEmbedder`)."""
    normalize_embeddings: bool = False

    @pydantic.model_validator(mode="after")
    def _has_what_it_reads(self) -> Self:
        needs_pooler = {
            "encoder": self.pooling == "pooler",
            "pretraining": self.has_next_sentence,
            "classification": True,
        }
        if needs_pooler.get(self.kind, False) and not self.has_pooler:
            raise ValueError(
                "has_pooler must be true where the pooled output is read. Received: "
                f"has_pooler=false, kind={self.kind!r}. A `token_classification` model, an "
                "`encoder` with another pooling or a `pretraining` model without "
                "has_next_sentence needs none."
            )
        if "classification" in self.kind and len(set(self.class_names)) != max(
            2, len(self.class_names)
        ):
            raise ValueError(
                "class_names must be two or more, each another. Received: "
                f"{list(self.class_names)}."
            )
        if self.kind == "pretraining" and not (self.has_masked_lm or self.has_next_sentence):
            raise ValueError(
                "A pretraining model must have a head. Received: neither has_masked_lm nor "
                "has_next_sentence. An `encoder` has none."
            )
        return self


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
        model = BertEmbedder(
            architecture,
            pooling=description.pooling,
            normalize=description.normalize_embeddings,
            **common,
        )
    else:
        headed, num_classes = {
            "classification": (BertClassifier, len(description.class_names)),
            "token_classification": (BertTokenClassifier, len(description.class_names)),
            "question_answering": (BertQuestionAnswerer, 2),
        }[description.kind]
        model = headed(
            architecture,
            num_classes=num_classes,
            dropout_rate=description.classifier_dropout_prob,
            **common,
        )
    model.build(inputs)
    return model


def save_model(model: keras.Model, description: ModelDescription, directory: str | Path) -> None:
    """Write description and weights into `directory`; the description, last, makes it valid."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    weights = weights_by_name(model)
    with appearing(directory / WEIGHTS_FILE) as path:
        safetensors.numpy.save_file(dict(stored_tensors(weights, _entries(weights))), path)
    write_whole(directory / DESCRIPTION_FILE, description.model_dump_json(indent=2).encode())


def load_description(directory: str | Path) -> ModelDescription:
    """Read `model.json`. Raises FileNotFoundError or ValueError with what is wrong."""
    path = Path(directory) / DESCRIPTION_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: a model folder must hold {DESCRIPTION_FILE}. Received: no such file. Give a "
            "folder that `bert-tf pretrain` or `bert-tf finetune` finished."
        )
    try:
        return ModelDescription.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: not a description of a model. Received: {error}") from error


def load_model(directory: str | Path, *, dtype: str = "float32") -> keras.Model:
    """The model saved in `directory`, every weight of it loaded."""
    model = build_model(load_description(directory), dtype=dtype)
    _load(model, directory, part="")
    return model


def load_encoder(model: keras.Model, directory: str | Path) -> None:
    """Set the weights of the model's encoder from a stored model of any kind.

    A pooler that the stored model does not have keeps its random weights, and the log says so; one
    that the model does not have is left out.

    Raises:
        ValueError: lists all missing, unexpected and mis-shaped tensors; nothing is set then.
    """
    is_pooler_stored = load_description(directory).has_pooler
    if model.has_pooler and not is_pooler_stored:
        logger.warning("%s has no pooler: a new one is trained from random weights.", directory)
    is_pooler_set = model.has_pooler and is_pooler_stored
    _load(model, directory, part=ENCODER, without=None if is_pooler_set else POOLER)


def _load(
    model: keras.Model, directory: str | Path, *, part: str, without: str | None = None
) -> None:
    path = Path(directory) / WEIGHTS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the weights must be there. Received: no such file.")

    def is_wanted(name: str) -> bool:
        return name.startswith(part) and not (without and name.startswith(without))

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
