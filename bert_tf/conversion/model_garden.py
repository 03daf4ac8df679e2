"""TF2 checkpoints of tf-models-official: its BERT encoders and pretraining models. In only.

In: `networks.BertEncoder` and `BertEncoderV2`, `models.BertPretrainerV2` and the older
`BertPretrainer`, saved alone (`tf.train.Checkpoint(encoder=…)`, `(model=…)`), with their
`checkpoint_items`, or by the trainer with its optimizer. Beside them `params.yaml` (preferred) or
`bert_config.json`, and `vocab.txt`, as Google's.

A tensor's key is one of the paths that lead to it (the embedding table may stand under
`masked_lm`), so names are looked up in the graph of objects that the checkpoint holds.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import trackable_object_graph_pb2

from bert_tf.config import ModelConfig
from bert_tf.conversion import google, tensorflow_checkpoint
from bert_tf.conversion.checkpoint import ForeignCheckpoint, refuse
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import Entry, Shape, entries_from_table
from bert_tf.system.listing import listed
from bert_tf.system.yaml_files import read_yaml

logger = logging.getLogger(__name__)

PARAMS_FILE = "params.yaml"

OBJECTS = {
    "encoder": (
        "encoder",
        "model/encoder_network",
        "model/encoder",
        "encoder_network",
        "model",
        "",
    ),
    "masked_lm": ("model/masked_lm", "masked_lm"),
    "head": ("model/classification_heads/0", "classification_heads/0"),
    "head_pooler": (
        "model/classification_heads/0/dense",
        "classification_heads/0/dense",
        "next_sentence..pooler_dense",
    ),
    "classification": ("model/classification", "classification"),
}
"""The first part of the names below, and where such an object may be."""
_LAYER = "encoder/_transformer_layers/{i}/"
ENCODER_NAMES = {
    "encoder/embeddings/word_embeddings/embeddings": "encoder/_embedding_layer/embeddings",
    "encoder/embeddings/position_embeddings/embeddings": (
        "encoder/_position_embedding_layer/embeddings"
    ),
    "encoder/embeddings/token_type_embeddings/embeddings": (
        "encoder/_type_embedding_layer/embeddings"
    ),
    "encoder/embeddings/layer_norm/gamma": "encoder/_embedding_norm_layer/gamma",
    "encoder/embeddings/layer_norm/beta": "encoder/_embedding_norm_layer/beta",
    "encoder/layer_{i}/attention/query_key_value/kernel": (
        _LAYER + "_attention_layer/_{qkv}_dense/kernel"
    ),
    "encoder/layer_{i}/attention/query_key_value/bias": (
        _LAYER + "_attention_layer/_{qkv}_dense/bias"
    ),
    "encoder/layer_{i}/attention/output/kernel": _LAYER + "_attention_layer/_output_dense/kernel",
    "encoder/layer_{i}/attention/output/bias": _LAYER + "_attention_layer/_output_dense/bias",
    "encoder/layer_{i}/attention_layer_norm/gamma": _LAYER + "_attention_layer_norm/gamma",
    "encoder/layer_{i}/attention_layer_norm/beta": _LAYER + "_attention_layer_norm/beta",
    "encoder/layer_{i}/intermediate/kernel": _LAYER + "_intermediate_dense/kernel",
    "encoder/layer_{i}/intermediate/bias": _LAYER + "_intermediate_dense/bias",
    "encoder/layer_{i}/output/kernel": _LAYER + "_output_dense/kernel",
    "encoder/layer_{i}/output/bias": _LAYER + "_output_dense/bias",
    "encoder/layer_{i}/output_layer_norm/gamma": _LAYER + "_output_layer_norm/gamma",
    "encoder/layer_{i}/output_layer_norm/beta": _LAYER + "_output_layer_norm/beta",
}
POOLER_NAMES = {
    "encoder/pooler/dense/kernel": "encoder/_pooler_layer/kernel",
    "encoder/pooler/dense/bias": "encoder/_pooler_layer/bias",
}
HEAD_POOLER_NAMES = {
    "encoder/pooler/dense/kernel": "head_pooler/kernel",
    "encoder/pooler/dense/bias": "head_pooler/bias",
}
"""A `ClassificationHead` has a pooler of its own; the encoder's is then unused, and untrained."""
MASKED_LM_NAMES = {
    "masked_lm/dense/kernel": "masked_lm/dense/kernel",
    "masked_lm/dense/bias": "masked_lm/dense/bias",
    "masked_lm/layer_norm/gamma": "masked_lm/layer_norm/gamma",
    "masked_lm/layer_norm/beta": "masked_lm/layer_norm/beta",
    "masked_lm/bias": "masked_lm/output_bias.Sbias",
}
NEXT_SENTENCE_NAMES = {
    "next_sentence/dense/kernel": "head/out_proj/kernel",
    "next_sentence/dense/bias": "head/out_proj/bias",
}
OLD_NEXT_SENTENCE_NAMES = {
    "next_sentence/dense/kernel": "classification/layer_with_weights-0/kernel",
    "next_sentence/dense/bias": "classification/layer_with_weights-0/bias",
}
"""Of the older `BertPretrainer`: on the encoder's own pooler."""
FUNCTIONAL_LAYER = "layer_with_weights-{number}"
FUNCTIONAL_NUMBERS = {
    "_embedding_layer": 0,
    "_position_embedding_layer": 1,
    "_type_embedding_layer": 2,
    "_embedding_norm_layer": 3,
}
"""In a functional encoder layers have numbers: these, the Transformer's from 4 on, the pooler.
Older versions have no other name for some of them."""
FIRST_TRANSFORMER_LAYER = 4

VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
COUNTERS = ("save_counter", "global_step")
OPTIMIZER, SLOT = "optimizer", ".OPTIMIZER_SLOT"

ENCODER_TYPES = ("bert", "bert_v2")
ARCHITECTURE = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "hidden_activation": "hidden_act",
    "intermediate_size": "intermediate_size",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "initializer_range": "initializer_range",
}
"""Settings of `params.yaml` and ours; the defaults are the same."""
ACTIVATIONS = {"gelu": "gelu", "relu": "relu"}
"""Model Garden's `gelu` is the tanh approximation, as ours."""
ONLY = {"norm_first": False, "output_range": None}
"""Settings of an encoder of which this is the one supported value, and the default."""
HEAD_ONLY = {"activation": "tanh", "cls_token_idx": 0}
"""The same of a classification head."""


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a folder with a TF2 checkpoint, or the prefix of one."""
    return tensorflow_checkpoint.is_checkpoint(path, has_object_graph=True)


def open_checkpoint(path: Path, *, lower_case: bool | None = None) -> ForeignCheckpoint:
    """Open a folder or a prefix; the other files stand beside the checkpoint.

    Dropout in a head, which trains only, is not taken over.

    Args:
        lower_case: as in `google.open_checkpoint`.

    Raises:
        FileNotFoundError: a file is not there. The vocabulary may be missing.
        ValueError: a file is damaged, or asks for what this package does not do.
    """
    prefix, stored, read = tensorflow_checkpoint.open_tensors(path)
    architecture = _read_architecture(prefix.parent)
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(read(tensorflow_checkpoint.OBJECT_GRAPH))
    objects = _Objects(graph, source=str(prefix), num_layers=architecture.num_hidden_layers)
    description, table = _describe(architecture, objects)
    entries = _entries(table, architecture, objects)
    ignored = {tensorflow_checkpoint.OBJECT_GRAPH, *objects.unused(table)}
    wanted = {name for entry in entries for name in entry.theirs}
    shapes = {
        name: shape
        for name, shape in stored.items()
        if name in wanted or not (name in ignored or _is_training_state(name))
    }
    return ForeignCheckpoint(
        source=str(prefix),
        description=description,
        tokenizer=google.read_tokenizer(
            prefix.parent / google.VOCABULARY_FILE,
            vocab_size=architecture.vocab_size or 0,
            lower_case=lower_case,
        ),
        entries=entries,
        shapes=shapes,
        read=read,
    )


class _Objects:
    """The objects of a checkpoint: from the tables' names to the keys of tensors."""

    def __init__(self, graph: Any, *, source: str, num_layers: int) -> None:
        self._nodes = graph.nodes
        self._num_layers = num_layers
        self._places: dict[str, tuple[str, int]] = {}
        for name, paths in OBJECTS.items():
            for path in paths:
                node = self._walk(0, path)
                if node is not None and (name != "encoder" or self._has_embeddings(node)):
                    self._places[name] = path, node
                    break
        if "encoder" not in self._places:
            top = listed(sorted(child.local_name for child in self._nodes[0].children))
            raise ValueError(
                f"{source}: the checkpoint must hold a BERT encoder or pretraining model of "
                f"tf-models-official. Received: objects {top}."
            )
        for path in OBJECTS["head"]:
            heads = self._walk(0, path.removesuffix("/0"))
            if heads is not None and len(self._nodes[heads].children) > 1:
                raise ValueError(
                    f"{source}: a pretraining model must have at most one classification head, "
                    f"for the next sentence. Received: {len(self._nodes[heads].children)}."
                )

    def key(self, name: str) -> str | None:
        """The key of the tensor that a table calls `name`; None where the graph has none."""
        for spelled in (name, self._numbered(name)):
            kind, _, path = spelled.partition("/")
            node = self._walk(self._places[kind][1], path) if kind in self._places else None
            if node is not None and self._nodes[node].attributes:
                return self._nodes[node].attributes[0].checkpoint_key
        return None

    def expected_key(self, name: str) -> str:
        """As `key`; where there is none, what it would be."""
        kind, _, path = self._numbered(name).partition("/")
        place = self._places.get(kind, (OBJECTS[kind][0],))[0]
        return self.key(name) or "/".join(part for part in (place, path, VALUE) if part)

    def has(self, table: Mapping[str, str]) -> bool:
        """Whether there is any tensor of the table."""
        return any(self.key(name) for name in table.values())

    def unused(self, table: Mapping[str, str]) -> list[str]:
        """Keys of the encoder's own pooler where the model's outputs do not depend on it."""
        if not HEAD_POOLER_NAMES.items() <= table.items():
            return []
        logger.warning(
            "The pooler is that of the classification head: the encoder's own is not read."
        )
        return [key for name in POOLER_NAMES.values() if (key := self.key(name))]

    def _has_embeddings(self, node: int) -> bool:
        layers = "_embedding_layer", FUNCTIONAL_LAYER.format(number=0)
        return any(self._walk(node, f"{layer}/embeddings") is not None for layer in layers)

    def _numbered(self, name: str) -> str:
        """`name` with the number of the layer, if it is of a functional encoder."""
        kind, *parts = name.split("/")
        first = FUNCTIONAL_LAYER.format(number=0)
        if kind != "encoder" or self._walk(self._places[kind][1], first) is None:
            return name
        if parts[0] == "_transformer_layers":
            number, rest = FIRST_TRANSFORMER_LAYER + int(parts[1]), parts[2:]
        else:
            pooler = FIRST_TRANSFORMER_LAYER + self._num_layers
            number, rest = FUNCTIONAL_NUMBERS.get(parts[0], pooler), parts[1:]
        return "/".join((kind, FUNCTIONAL_LAYER.format(number=number), *rest))

    def _walk(self, node: int, path: str) -> int | None:
        for part in path.split("/") if path else ():
            local_name = part.replace(".S", "/").replace("..", ".")
            children = {child.local_name: child.node_id for child in self._nodes[node].children}
            if local_name not in children:
                return None
            node = children[local_name]
        return node


def _describe(
    architecture: ModelConfig, objects: _Objects
) -> tuple[ModelDescription, dict[str, str]]:
    """What the objects that are there make, and the table of their names."""
    table = dict(ENCODER_NAMES)
    has_head_pooler = objects.has(HEAD_POOLER_NAMES)
    next_sentence = next(
        (names for names in (NEXT_SENTENCE_NAMES, OLD_NEXT_SENTENCE_NAMES) if objects.has(names)),
        {},
    )
    has_masked_lm = objects.has(MASKED_LM_NAMES)
    has_pooler = has_head_pooler or bool(next_sentence) or objects.has(POOLER_NAMES)
    if has_pooler:
        is_of_head = has_head_pooler or next_sentence is NEXT_SENTENCE_NAMES
        table |= HEAD_POOLER_NAMES if is_of_head else POOLER_NAMES
    table |= next_sentence
    table |= MASKED_LM_NAMES if has_masked_lm else {}
    about: dict[str, Any] = {"kind": "encoder", "pooling": "pooler" if has_pooler else "mean"}
    if has_masked_lm or next_sentence:
        about = {
            "kind": "pretraining",
            "has_masked_lm": has_masked_lm,
            "has_next_sentence": bool(next_sentence),
        }
    description = ModelDescription(
        architecture=architecture,
        max_seq_length=architecture.max_position_embeddings,
        has_pooler=has_pooler,
        **about,
    )
    return description, table


def _entries(table: Mapping[str, str], architecture: ModelConfig, objects: _Objects) -> list[Entry]:
    num_heads = architecture.num_attention_heads
    hidden_size = architecture.hidden_size
    heads = num_heads, hidden_size // num_heads
    shapes: dict[str, Shape] = {
        "attention/query_key_value/kernel": (hidden_size, *heads),
        "attention/query_key_value/bias": heads,
        "attention/output/kernel": (*heads, hidden_size),
    }

    def layout(ours: str) -> dict[str, Any]:
        return {"shape": shapes.get("/".join(ours.split("/")[2:]))}

    entries = entries_from_table(table, num_layers=architecture.num_hidden_layers, layout=layout)
    return [
        dataclasses.replace(
            entry, theirs=tuple(objects.expected_key(name) for name in entry.theirs)
        )
        for entry in entries
    ]


def _is_training_state(key: str) -> bool:
    parts = key.split("/")
    return parts[0] in COUNTERS or OPTIMIZER in parts or SLOT in parts


def _read_architecture(folder: Path) -> ModelConfig:
    path = folder / PARAMS_FILE
    if not path.is_file():
        return google.read_architecture(folder / google.CONFIG_FILE)
    try:
        model = read_yaml(path, what="the parameters of a model")["task"]["model"]
        kind = model["encoder"].get("type", ENCODER_TYPES[0])
        encoder = model["encoder"].get(kind) or {}
        heads = model.get("cls_heads") or []
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: must hold task.model.encoder, as the trainer of tf-models-official writes "
            f"it. Received: {error!r}."
        ) from error
    masked_lm_act = model.get("mlm_activation") or "gelu"
    faults = _unlike(encoder, ONLY | {"embedding_size": encoder.get("hidden_size")}, of="encoder")
    for number, head in enumerate(heads):
        faults += _unlike(head, HEAD_ONLY, of=f"cls_heads[{number}]")
    if kind not in ENCODER_TYPES:
        faults = [f"encoder.type={kind!r}, where one of {list(ENCODER_TYPES)} is supported"]
    elif "vocab_size" not in encoder:
        faults.append("missing: encoder.vocab_size")
    activations = {
        "encoder.hidden_activation": encoder.get("hidden_activation", "gelu"),
        "mlm_activation": masked_lm_act,
    }
    faults += [
        f"{name}={value!r}, where one of {list(ACTIVATIONS)} is supported"
        for name, value in activations.items()
        if value not in ACTIVATIONS
    ]
    refuse(str(path), faults, what="must describe a BERT encoder.")
    known = {ours: encoder[theirs] for theirs, ours in ARCHITECTURE.items() if theirs in encoder}
    architecture = google.make_architecture(known, source=str(path))
    if ACTIVATIONS[masked_lm_act] == architecture.hidden_act:
        return architecture
    return architecture.model_copy(update={"masked_lm_act": ACTIVATIONS[masked_lm_act]})


def _unlike(settings: Mapping[str, Any], only: Mapping[str, Any], *, of: str) -> list[str]:
    return [
        f"{of}.{name}={settings[name]!r}, where only {value!r} is supported"
        for name, value in only.items()
        if settings.get(name) not in (None, value)
    ]
