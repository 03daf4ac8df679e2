"""What an export is made of: a trained model's folder, and the section `export` that says how."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import tensorflow as tf

from bert_tf.config import Config, ExportConfig, required
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting.int8 import QuantizedLayer, quantize
from bert_tf.exporting.precision import load_for_serving
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.texts import TextInputs
from bert_tf.exporting.warmup import as_pairs, read_texts
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.tasks.table import task_of
from bert_tf.tasks.texts import limits_of

log = logging.getLogger(__name__)

NUM_CALIBRATION_TEXTS = 128
_BATCH_SIZE = 16
_NUM_MASKED = 8


@dataclass(frozen=True)
class Source:
    """A trained model, and how it is to be served."""

    config: Config
    """With `export.max_seq_length`."""
    folder: Path
    description: ModelDescription

    @classmethod
    def of(cls, config: Config) -> Self:
        """Of `export.model`.

        Raises:
            FileNotFoundError, ValueError: there is none, or a setting does not fit it.
        """
        section = config.export
        what = "a folder with a trained model"
        folder = Path(required(section.model, key="export.model", what=what))
        description = load_description(folder)
        _check_int8(section, description)
        description = _with_decoding(section, description)
        description = _with_max_windows(section, description)
        section = _with_max_seq_length(section, description)
        return cls(config.model_copy(update={"export": section}), folder, description)

    @property
    def section(self) -> ExportConfig:
        return self.config.export

    def serving_model(
        self, *, precision: str | None = None
    ) -> tuple[ServingModel, list[QuantizedLayer]]:
        """The model as it is served, and of int8 what each product loses.

        Args:
            precision: in the place of `export.precision`.
        """
        section, layers = self.section, []
        precision = precision or section.precision
        limits = limits_of(self.description)
        text_inputs = TextInputs(
            Tokenizer.load(self.folder),
            limits._replace(max_seq_length=section.max_seq_length or limits.max_seq_length),
            max_bytes=section.max_text_bytes,
            pad_to_multiple_of=section.pad_to_multiple_of,
        )
        with load_for_serving(self.folder, precision=precision) as model:
            if precision == "int8":
                layers = self._quantize(model, text_inputs)
            return ServingModel(model, text_inputs, self.description, top_k=section.top_k), layers

    def _quantize(self, model: keras.Model, text_inputs: TextInputs) -> list[QuantizedLayer]:
        section = self.section
        texts = read_texts(str(section.calibration_texts), max_texts=NUM_CALIBRATION_TEXTS)
        log.info(
            "Choosing the ranges of %d layers' numbers on %d texts.",
            self.description.architecture.num_hidden_layers,
            len(texts),
        )
        batches = [
            self._inputs(text_inputs, texts[start : start + _BATCH_SIZE])
            for start in range(0, len(texts), _BATCH_SIZE)
        ]
        layers = quantize(model, batches, float32_layers=section.float32_layers)
        worst = ", ".join(f"{layer.name} {layer.effect:.1%}" for layer in layers[:3])
        log.info("What int8 products alone change in the outputs, at most: %s.", worst)
        return layers

    def _inputs(
        self, text_inputs: TextInputs, texts: Sequence[tuple[bytes, ...]]
    ) -> dict[str, Any]:
        task = task_of(self.description)
        if task is not None and task.max_choices is not None:  # each with its text
            texts = [(text, choice) for text, *choices in texts for choice in choices or [text]]
        firsts, seconds = zip(*as_pairs(texts), strict=True)
        takes_pairs = task is not None and len(task.input_names(self.description)) > 1
        takes_pairs |= any(len(row) > 1 for row in texts)
        columns = [firsts, seconds] if takes_pairs else [firsts]
        inputs = text_inputs(*(tf.constant(column) for column in columns))
        if self.description.kind == "pretraining":
            # Some tokens of each text, one of which is the first.
            lengths = tf.reduce_sum(inputs["input_mask"], axis=1, keepdims=True)
            inputs["masked_lm_positions"] = tf.range(_NUM_MASKED) * lengths // _NUM_MASKED
        return inputs


def _check_int8(section: ExportConfig, description: ModelDescription) -> None:
    is_int8 = section.precision == "int8"
    if is_int8 and description.architecture.num_decoder_layers:
        raise ValueError(
            "export.precision must be float32 or bfloat16 for a model with a decoder. Received: "
            "int8. Set one of these."
        )
    if is_int8 and section.calibration_texts is None:
        raise ValueError(
            "export.calibration_texts must be set for export.precision=int8. Received: none. Name "
            "a file of texts as the model will be asked, one a line, pairs with a tab."
        )
    if section.float32_layers and not is_int8:
        raise ValueError(
            "export.float32_layers must be empty unless export.precision is int8. Received: "
            f"{', '.join(section.float32_layers)} and {section.precision}. Take them out."
        )


def _with_decoding(section: ExportConfig, description: ModelDescription) -> ModelDescription:
    """With `export.decoding` in the settings of the task, where it is set."""
    if section.decoding is None:
        return description
    if not description.architecture.num_decoder_layers:
        raise ValueError(
            "export.decoding must be left out for a model without a decoder. Received: one of "
            f"{description.kind}. Take it out."
        )
    settings = dict(description.task_state.get("settings", {}))
    settings["decoding"] = section.decoding.model_dump(mode="json", exclude_unset=True)
    state = {**description.task_state, "settings": settings}
    return description.model_copy(update={"task_state": state})


def _with_max_windows(section: ExportConfig, description: ModelDescription) -> ModelDescription:
    """With `export.max_windows`, where it is set: joining windows needs no weights."""
    if section.max_windows is None:
        return description
    if task_of(description) is None or description.architecture.num_decoder_layers:
        raise ValueError(
            "export.max_windows must be left out for a model that reads one row of tokens. "
            f"Received: {section.max_windows} and a model of {description.kind}. Take it out."
        )
    return description.model_copy(update={"max_windows": section.max_windows})


def _with_max_seq_length(section: ExportConfig, description: ModelDescription) -> ExportConfig:
    max_seq_length = section.max_seq_length or description.max_seq_length
    limit = description.architecture.max_position_embeddings
    if max_seq_length > limit:
        raise ValueError(
            "export.max_seq_length must be at most the model's max_position_embeddings. "
            f"Received: {max_seq_length} and {limit}. Lower export.max_seq_length."
        )
    return section.model_copy(update={"max_seq_length": max_seq_length})
