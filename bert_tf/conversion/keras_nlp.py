"""keras-nlp: preset folders in and out, and its models in memory.

In and out: BertBackbone, BertMaskedLM, BertTextClassifier, BertTextEmbedder. A masked-LM head
keeps the activation and the epsilon that keras-nlp gave it, which are not the encoder's. Names of
variables and settings are here, the files of a folder in `keras_nlp_preset`, tokenizers in
`keras_nlp_tokenizer`.
"""

import dataclasses
import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bert_tf.config import ModelConfig
from bert_tf.conversion import keras_nlp_preset, keras_nlp_tokenizer
from bert_tf.conversion.checkpoint import ForeignCheckpoint, Model, refuse, unlike_bert
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import Entry, entries_from_table, stored_tensors, weights_by_name
from bert_tf.system.listing import listed

logger = logging.getLogger(__name__)

_LAYER = "transformer_layer_{i}/"
ENCODER_NAMES = {
    "encoder/embeddings/word_embeddings/embeddings": "token_embedding/embeddings",
    "encoder/embeddings/position_embeddings/embeddings": "position_embedding/embeddings",
    "encoder/embeddings/token_type_embeddings/embeddings": "segment_embedding/embeddings",
    "encoder/embeddings/layer_norm/gamma": "embeddings_layer_norm/gamma",
    "encoder/embeddings/layer_norm/beta": "embeddings_layer_norm/beta",
    "encoder/layer_{i}/attention/query_key_value/kernel": (
        _LAYER + "self_attention_layer/{qkv}/kernel"
    ),
    "encoder/layer_{i}/attention/query_key_value/bias": _LAYER + "self_attention_layer/{qkv}/bias",
    "encoder/layer_{i}/attention/output/kernel": (
        _LAYER + "self_attention_layer/attention_output/kernel"
    ),
    "encoder/layer_{i}/attention/output/bias": (
        _LAYER + "self_attention_layer/attention_output/bias"
    ),
    "encoder/layer_{i}/attention_layer_norm/gamma": _LAYER + "self_attention_layer_norm/gamma",
    "encoder/layer_{i}/attention_layer_norm/beta": _LAYER + "self_attention_layer_norm/beta",
    "encoder/layer_{i}/intermediate/kernel": _LAYER + "feedforward_intermediate_dense/kernel",
    "encoder/layer_{i}/intermediate/bias": _LAYER + "feedforward_intermediate_dense/bias",
    "encoder/layer_{i}/output/kernel": _LAYER + "feedforward_output_dense/kernel",
    "encoder/layer_{i}/output/bias": _LAYER + "feedforward_output_dense/bias",
    "encoder/layer_{i}/output_layer_norm/gamma": _LAYER + "feedforward_layer_norm/gamma",
    "encoder/layer_{i}/output_layer_norm/beta": _LAYER + "feedforward_layer_norm/beta",
    "encoder/pooler/dense/kernel": "pooled_dense/kernel",
    "encoder/pooler/dense/bias": "pooled_dense/bias",
}
MASKED_LM_NAMES = {
    "masked_lm/dense/kernel": "mlm_head/intermediate_dense/kernel",
    "masked_lm/dense/bias": "mlm_head/intermediate_dense/bias",
    "masked_lm/layer_norm/gamma": "mlm_head/intermediate_layer_norm/gamma",
    "masked_lm/layer_norm/beta": "mlm_head/intermediate_layer_norm/beta",
    "masked_lm/bias": "mlm_head/output_bias",
}
CLASSIFIER_NAMES = {
    "head/dense/kernel": "logits/kernel",
    "head/dense/bias": "logits/bias",
}

ACTIVATIONS = {"gelu_approximate": "gelu", "gelu": "gelu_exact", "relu": "relu"}
"""Names of their functions; their `gelu` is the exact one, ours Google's tanh approximation."""
POOLINGS = ("mean", "cls", "max")
"""Of a BertTextEmbedder."""


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a folder that Keras' libraries call a preset."""
    return keras_nlp_preset.is_preset(path)


def open_checkpoint(path: Path) -> ForeignCheckpoint:
    """Open a preset folder: a backbone's, or a task's with its head.

    Raises:
        FileNotFoundError: the weights are not there.
        ValueError: a file is damaged, or it holds what this package does not do.
    """
    checkpoint = _open_preset(path)
    gc.collect()  # their model is full of cycles, as large as ours, and not needed any more
    return checkpoint


def from_keras_nlp(model: keras.Model, *, dtype: str = "float32") -> Model:
    """Our model with the weights of one of keras-nlp's in memory.

    Args:
        model: a `keras_nlp.models.BertBackbone`, `BertMaskedLM`, `BertTextClassifier` or
            `BertTextEmbedder`; its preprocessor's tokenizer comes along.
        dtype: a Keras dtype policy.

    Raises:
        ValueError: another class, or settings that this package does not have; lists them all.
    """
    return _as_checkpoint(model, source=f"keras-nlp model {model.name!r}").build(dtype=dtype)


def to_keras_nlp(model: Model) -> Any:
    """A `keras_nlp.models.BertBackbone` with the weights of the encoder.

    Raises:
        ValueError: the encoder is not one that keras-nlp can build; lists every reason.
    """
    architecture = model.description.architecture
    refuse(
        "keras-nlp",
        _unlike_backbone(model.description),
        what="its BertBackbone must be able to compute the same.",
    )
    backbone = _keras_nlp().models.BertBackbone(
        vocabulary_size=architecture.vocab_size,
        num_layers=architecture.num_hidden_layers,
        num_heads=architecture.num_attention_heads,
        hidden_dim=architecture.hidden_size,
        intermediate_dim=architecture.intermediate_size,
        dropout=architecture.hidden_dropout_prob,
        max_sequence_length=architecture.max_position_embeddings,
        num_segments=architecture.type_vocab_size,
        dtype="float32",
    )
    _set_weights(backbone, model)
    return backbone


def write_checkpoint(model: Model, directory: Path, *, target: Path | None = None) -> None:
    """Write a preset folder: a task's where keras-nlp has one of the same kind, or a backbone's.

    The log names what such a folder does not hold.

    Args:
        target: where `directory` will be moved to, for messages.

    Raises:
        ValueError: the encoder is not one that keras-nlp can build; nothing was written then.
    """
    backbone = to_keras_nlp(model)
    tokenizer = (
        None if model.tokenizer is None else keras_nlp_tokenizer.make_tokenizer(model.tokenizer)
    )
    task, lost = _make_task(model, backbone, tokenizer)
    description = model.description
    has_preprocessor = task is not None and tokenizer is not None
    if description.max_seq_length < backbone.max_sequence_length and not has_preprocessor:
        lost.append(f"max_seq_length={description.max_seq_length}")
    for what in lost:
        logger.warning(
            "%s: left out, as a keras-nlp preset cannot hold it: %s", target or directory, what
        )
    (task or backbone).save_to_preset(str(directory))
    if tokenizer is not None:
        tokenizer.save_to_preset(str(directory))


def entries(description: ModelDescription) -> list[Entry]:
    """Our weights and theirs, by the paths of their variables."""
    table = dict(ENCODER_NAMES)
    if description.kind == "pretraining" and description.has_masked_lm:
        table |= MASKED_LM_NAMES
    elif description.kind == "classification":
        table |= CLASSIFIER_NAMES
    architecture = description.architecture
    hidden, heads = architecture.hidden_size, architecture.num_attention_heads
    by_head = {
        "query_key_value/kernel": (hidden, heads, hidden // heads),
        "query_key_value/bias": (heads, hidden // heads),
        "attention/output/kernel": (heads, hidden // heads, hidden),
    }

    def layout(ours: str) -> dict[str, Any]:
        return {"shape": next((s for end, s in by_head.items() if ours.endswith(end)), None)}

    return entries_from_table(table, num_layers=architecture.num_hidden_layers, layout=layout)


def _keras_nlp() -> Any:
    """Imported here only: it takes long, and nothing else needs it."""
    import keras_nlp

    return keras_nlp


def _open_preset(path: Path) -> ForeignCheckpoint:
    model, shapes, read = keras_nlp_preset.open_preset(path)
    checkpoint = _as_checkpoint(model, source=str(path))
    tokenizer = checkpoint.tokenizer
    theirs = None if tokenizer else keras_nlp_preset.open_tokenizer(path)
    if theirs is not None:
        tokenizer = keras_nlp_tokenizer.read_tokenizer(
            theirs, vocab_size=_backbone(model).vocabulary_size, source=str(path)
        )
    return dataclasses.replace(checkpoint, tokenizer=tokenizer, shapes=shapes, read=read)


def _weights(model: keras.Model) -> dict[str, keras.Variable]:
    return {weight.path: weight for weight in model.weights}


def _backbone(model: keras.Model) -> Any:
    return getattr(model, "backbone", model)


def _as_checkpoint(model: keras.Model, *, source: str) -> ForeignCheckpoint:
    """A model in memory; `shapes` and `read` are those of its variables."""
    description = _describe(model, source=source)
    weights = _weights(model)
    preprocessor = getattr(model, "preprocessor", None)
    tokenizer = None
    if preprocessor is not None:
        tokenizer = keras_nlp_tokenizer.read_tokenizer(
            preprocessor.tokenizer,
            vocab_size=_backbone(model).vocabulary_size,
            source=f"{source}, tokenizer",
        )
    return ForeignCheckpoint(
        source=source,
        description=description,
        tokenizer=tokenizer,
        entries=entries(description),
        shapes={name: tuple(weight.shape) for name, weight in weights.items()},
        read=lambda name: np.asarray(weights[name]),
    )


def _describe(model: keras.Model, *, source: str) -> ModelDescription:
    models = _keras_nlp().models
    known = (models.BertMaskedLM, models.BertTextClassifier, models.BertTextEmbedder)
    if not isinstance(_backbone(model), models.BertBackbone) or not isinstance(
        model, (models.BertBackbone, *known)
    ):
        names = ", ".join((models.BertBackbone.__name__, *(task.__name__ for task in known)))
        raise ValueError(
            f"{source}: must be one of keras-nlp's {names}. Received: {type(model).__name__}."
        )
    architecture, faults = _read_architecture(_backbone(model))
    about: dict[str, Any] = {"kind": "encoder"}
    if isinstance(model, models.BertMaskedLM):
        about = {"kind": "pretraining", "has_next_sentence": False}
        act, eps = _head_settings(model)
        if model.masked_lm_head.token_embedding is not _backbone(model).token_embedding:
            faults.append("a masked-LM head that does not share the token embeddings")
        if act is None:
            faults.append("masked-LM head's activation: none of " + ", ".join(ACTIVATIONS))
        architecture |= {
            "masked_lm_act": None if act == architecture["hidden_act"] else act,
            "masked_lm_layer_norm_eps": None if eps == architecture["layer_norm_eps"] else eps,
        }
    elif isinstance(model, models.BertTextClassifier):
        about = {
            "kind": "classification",
            "class_names": [f"LABEL_{index}" for index in range(model.num_classes)],
            "classifier_dropout_prob": model.dropout,
        }
        # Softmax is what makes probabilities of our logits, too.
        activation = keras.activations.serialize(model.activation)
        if activation not in ("linear", "softmax") or model.num_classes < 2:
            faults.append(f"{model.num_classes} classes with activation {activation!r}")
    elif isinstance(model, models.BertTextEmbedder):
        about |= {"pooling": model.pooling_mode, "normalize_embeddings": model.normalize}
    refuse(source, faults, what="must be BERT as this package can build it.")
    lengths = (
        getattr(getattr(model, "preprocessor", None), "sequence_length", None),
        architecture["max_position_embeddings"],
    )
    return ModelDescription(
        architecture=ModelConfig(**architecture),
        max_seq_length=min(length for length in lengths if length),
        **about,
    )


def _read_architecture(backbone: Any) -> tuple[dict[str, Any], list[str]]:
    """`ModelConfig`'s fields, and what it cannot say."""
    layer = backbone.transformer_layers[0]
    activation = _activation_name(layer.activation)
    faults = [
        f"{name}={value!r}, where {wanted!r} is needed"
        for name, value, wanted in (
            ("normalize_first", layer.normalize_first, False),
            (
                "layer_norm_epsilon of a Transformer layer",
                layer.layer_norm_epsilon,
                backbone.embeddings_layer_norm.epsilon,
            ),
        )
        if value != wanted
    ]
    if activation is None:
        faults.append(f"activation={layer.activation!r}: none of {', '.join(ACTIVATIONS)}")
    return {
        "num_hidden_layers": backbone.num_layers,
        "hidden_size": backbone.hidden_dim,
        "num_attention_heads": backbone.num_heads,
        "intermediate_size": backbone.intermediate_dim,
        "vocab_size": backbone.vocabulary_size,
        "max_position_embeddings": backbone.max_sequence_length,
        "type_vocab_size": backbone.num_segments,
        "hidden_act": activation,
        "hidden_dropout_prob": backbone.dropout,
        "attention_probs_dropout_prob": backbone.dropout,
        "layer_norm_eps": backbone.embeddings_layer_norm.epsilon,
    }, faults


def _activation_name(function: Callable[..., Any]) -> str | None:
    return ACTIVATIONS.get(getattr(function, "__name__", ""))


def _head_settings(task: Any) -> tuple[str | None, float]:
    head = task.masked_lm_head
    return _activation_name(head.intermediate_activation), head.layer_norm_epsilon


def _unlike_backbone(description: ModelDescription) -> list[str]:
    """What a BertBackbone cannot say."""
    # The head's own settings are looked at where a head is written.
    encoder = description.architecture.model_copy(
        update={"masked_lm_act": None, "masked_lm_layer_norm_eps": None}
    )
    only = {
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        # One rate for both.
        "attention_probs_dropout_prob": encoder.hidden_dropout_prob,
    }
    faults = unlike_bert(encoder) + [
        f"{name}={getattr(encoder, name)!r}, where {value!r} is supported"
        for name, value in only.items()
        if getattr(encoder, name) != value
    ]
    return faults if description.has_pooler else [*faults, "no pooler"]


def _make_task(model: Model, backbone: Any, tokenizer: Any) -> tuple[Any, list[str]]:
    """The task with its head's weights, None where keras-nlp has none such; and what is lost."""
    models, description = _keras_nlp().models, model.description
    lost: list[str] = []

    def preprocessor(kind: str) -> Any:
        if tokenizer is None:
            return None
        make = getattr(models, f"{kind}Preprocessor")
        return make(tokenizer, sequence_length=description.max_seq_length)

    task = None
    if description.kind == "classification":
        lost.append("class_names=" + listed(description.class_names))
        task = models.BertTextClassifier(
            backbone,
            num_classes=len(description.class_names),
            preprocessor=preprocessor("BertTextClassifier"),
            dropout=description.classifier_dropout_prob,
        )
    elif description.kind == "pretraining":
        if description.has_next_sentence:
            lost.append("the next-sentence head")
        if description.has_masked_lm:
            task = models.BertMaskedLM(backbone, preprocessor=preprocessor("BertMaskedLM"))
            architecture = description.architecture
            act = architecture.masked_lm_act or architecture.hidden_act
            eps = architecture.masked_lm_layer_norm_eps or architecture.layer_norm_eps
            theirs = _head_settings(task)
            if theirs != (act, eps):
                task = None
                lost.append(
                    f"the masked-LM head: it has {act} and epsilon {eps:g}, keras-nlp's always has "
                    f"{theirs[0]} and {theirs[1]:g}"
                )
    elif description.kind != "encoder":
        lost.append(f"the head for {description.kind}")
    elif description.pooling in POOLINGS:
        task = models.BertTextEmbedder(
            backbone,
            preprocessor=preprocessor("BertTextEmbedder"),
            pooling_mode=description.pooling,
            normalize=description.normalize_embeddings,
        )
    elif description.pooling != "pooler" or description.normalize_embeddings:
        lost.append(
            f"pooling={description.pooling} and "
            f"normalize_embeddings={description.normalize_embeddings}"
        )
    if task is not None:
        _set_weights(task, model)
    return task, lost


def _set_weights(theirs: keras.Model, model: Model) -> None:
    """Set each weight of one of their models from ours."""
    tensors = dict(stored_tensors(weights_by_name(model.network), entries(model.description)))
    for name, weight in _weights(theirs).items():
        weight.assign(tensors[name])
