"""A trained model on disk: `model.json` (what it is) and `model.safetensors` (its weights).

Weights are named by their place in the model (`encoder/layer_0/attention/output/kernel`) and are
always float32. The tokenizer's files stand in the same folder; `bert_tf.data` reads those.
"""

import json
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pydantic
import safetensors.numpy

from bert_tf.config import ModelConfig
from bert_tf.files import write_whole
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.finetuning import BertClassifier
from bert_tf.models.pretraining import BertPretrainer

DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"


class ModelDescription(pydantic.BaseModel):
    """What must be known to build a model again and to feed it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    kind: Literal["pretraining", "classification"]
    architecture: ModelConfig
    max_seq_length: int
    class_names: tuple[str, ...] = ()
    has_text_pairs: bool = False
    has_next_sentence: bool = True
    """Whether the next-sentence head was trained."""
    classifier_dropout_prob: float = 0.0


def build_model(description: ModelDescription, *, dtype: str = "float32") -> keras.Model:
    """A model with random weights, all of them created.

    Args:
        dtype: a Keras dtype policy, such as `mixed_bfloat16`.
    """
    inputs = dict.fromkeys(ENCODER_INPUTS, (None, None))
    if description.kind == "pretraining":
        model: keras.Model = BertPretrainer(description.architecture, dtype=dtype)
        inputs["masked_lm_positions"] = (None, None)
    else:
        model = BertClassifier(
            description.architecture,
            num_classes=len(description.class_names),
            dropout_rate=description.classifier_dropout_prob,
            dtype=dtype,
        )
    model.build(inputs)
    return model


def save_model(model: keras.Model, description: ModelDescription, directory: str | Path) -> None:
    """Write description and weights into `directory`; the description, last, makes it valid."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.asarray(value) for name, value in weights_by_name(model).items()}
    write_whole(directory / WEIGHTS_FILE, safetensors.numpy.save(tensors))
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
    load_weights(model, directory)
    return model


def load_weights(model: keras.Model, directory: str | Path, *, part: str = "") -> None:
    """Set the weights of `model`, or of the part of it whose names begin with `part`.

    Raises:
        ValueError: lists all missing, unexpected and mis-shaped tensors; nothing is set then.
    """
    path = Path(directory) / WEIGHTS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the weights must be there. Received: no such file.")
    stored = {
        name: value
        for name, value in safetensors.numpy.load_file(path).items()
        if name.startswith(part)
    }
    wanted = {
        name: weight for name, weight in weights_by_name(model).items() if name.startswith(part)
    }
    faults = [f"missing: {name}" for name in sorted(wanted.keys() - stored.keys())]
    faults += [f"unexpected: {name}" for name in sorted(stored.keys() - wanted.keys())]
    faults += [
        f"shape of {name}: {stored[name].shape} in the file, {tuple(wanted[name].shape)} wanted"
        for name in sorted(wanted.keys() & stored.keys())
        if stored[name].shape != tuple(wanted[name].shape)
    ]
    if faults:
        raise ValueError(
            f"{path}: tensors must fit the model, name by name. Received:\n  "
            + "\n  ".join(faults)
            + "\nUse the model.json that was written with them."
        )
    for name, weight in wanted.items():
        weight.assign(stored[name])


def weights_by_name(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by its path below the model, without the model's own name."""
    weights = {weight.path.split("/", 1)[1]: weight for weight in model.weights}
    if len(weights) != len(model.weights):
        raise ValueError(f"Weights of {model.name} must have distinct paths. Name its layers.")
    return weights
