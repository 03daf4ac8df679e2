"""The description of a model folder, `model.json`, and the digest of the weights beside it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import pydantic

from bert_tf.config import MODEL_SIZES, ModelConfig
from bert_tf.system.files import file_sha256
from bert_tf.system.json_files import read_model
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import path_hint

DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "model.safetensors"
LEFT_OUT = ("max_windows", "window_stride", "window_join", "task_state", "files_sha256")
"""Of `model.json` where they have their defaults."""
_OF_DECODERS = (
    "num_decoder_layers",
    "target_vocab_size",
    "scale_embeddings",
    "has_embedding_layer_norm",
    "share_embeddings",
    "tie_output",
)
"""Of the architecture; left out of `model.json` likewise."""
_FOREIGN = {
    "bert_config.json": "a checkpoint of Google's BERT",
    "params.yaml": "a checkpoint of tf-models-official",
    "task.json": "a preset of keras-nlp",
    "metadata.json": "a preset of keras-nlp",
    "config.json": "a folder of Hugging Face",
    "*.index": "a checkpoint of TensorFlow",
}
"""Files by which checkpoints of other libraries are known -> what they are."""


class ModelDescription(pydantic.BaseModel):
    """What must be known to build a model again and to feed it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    kind: str
    """`encoder`, `pretraining`, `token_classification`, `sequence_to_sequence`, or the name of the
    task that it was fine-tuned for (see `tasks.table`)."""
    architecture: ModelConfig
    max_seq_length: pydantic.PositiveInt
    max_windows: pydantic.PositiveInt = 1
    """Rows of `max_seq_length` tokens that a text is read in at most (see `data.text.windows`)."""
    window_stride: pydantic.PositiveInt | None = None
    window_join: Literal["mean", "max"] = "mean"
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
    task_state: dict[str, Any] = pydantic.Field(default_factory=dict)
    """What a task keeps of its settings and its training, such as thresholds; JSON."""
    files_sha256: dict[str, str] = pydantic.Field(default_factory=dict)
    """Digests of the files beside it that the model was trained with, its vocabulary's first."""

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
        num_names = len(self.class_names)
        if "classification" in self.kind and len(set(self.class_names)) != max(2, num_names):
            raise ValueError(
                "class_names must be two or more, each another. Received: "
                f"{listed(map(repr, self.class_names)) or 'none'}."
            )
        if self.kind == "pretraining" and not (self.has_masked_lm or self.has_next_sentence):
            raise ValueError(
                "A pretraining model must have a head. Received: neither has_masked_lm nor "
                "has_next_sentence. An `encoder` has none."
            )
        return self

    def as_json(self) -> str:
        """What `model.json` holds."""
        left_out: dict[str, Any] = dict.fromkeys(_at_default(self, LEFT_OUT), True)
        of_size = MODEL_SIZES.get(
            self.architecture.size or "", {}
        )  # would fill in what is left out
        left_out["architecture"] = _at_default(self.architecture, _OF_DECODERS) - of_size.keys()
        return self.model_dump_json(indent=2, exclude=left_out)


def _at_default(model: pydantic.BaseModel, names: Iterable[str]) -> set[str]:
    """Those of the fields that have their default."""
    fields = type(model).model_fields
    return {
        name
        for name in names
        if getattr(model, name) == fields[name].get_default(call_default_factory=True)
    }


def load_description(directory: str | Path) -> ModelDescription:
    """Read `model.json`. Raises FileNotFoundError or ValueError with what is wrong.

    Wrong is a vocabulary, too, that is not the one which the model was trained with.
    """
    path = Path(directory) / DESCRIPTION_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: a model folder must hold {DESCRIPTION_FILE}. Received: "
            f"{_what_else(path.parent)}{path_hint(path)}"
        )
    description = read_model(
        path,
        ModelDescription,
        what="a description of a model",
        to_do="Copy the model folder again.",
    )
    for name, digest in description.files_sha256.items():
        file = path.with_name(name)
        received = file_sha256(file) if file.is_file() else None
        if received != digest:
            raise ValueError(
                f"{file}: must be the file that the model beside it was trained with, SHA-256 "
                f"{digest}. Received: {f'another, {received}' if received else 'no such file'}. "
                "Put it back, or copy the model folder again."
            )
    return description


def _what_else(folder: Path) -> str:
    """What a folder is that is no model folder, and what can be done with it."""
    if (folder / "saved_model.pb").is_file():
        return (
            "a SavedModel, which cannot be trained or exported. Give the model folder that it was "
            "exported from."
        )
    is_prefix = folder.with_name(f"{folder.name}.index").is_file()
    for name, what in _FOREIGN.items():
        if any(folder.glob(name)) or (is_prefix and name == "*.index"):
            return (
                f"{what}. Turn it into a model folder with `bert-tf convert --from {folder} --to "
                "NEW_FOLDER`, and give that."
            )
    return "no such file. Give a folder that `bert-tf pretrain`, `finetune` or `convert` finished."


def weights_sha256(directory: str | Path) -> str:
    """Digest of a model folder's weights."""
    return file_sha256(Path(directory) / WEIGHTS_FILE)
