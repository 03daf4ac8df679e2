"""Google's TF1 checkpoints: `bert_model.ckpt`, `bert_config.json`, `vocab.txt`.

In: what google-research/bert publishes and what its `run_pretraining.py`, `run_classifier.py` and
`run_squad.py` save. Out: the same three. Optimizer slots and the step are left out.

Two things do not stand in these files. Names of classes: they are "0", "1", …. Whether text is
lower-cased, Google's `do_lower_case`: the vocabulary tells (see `is_uncased`).
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.conversion import tensorflow_checkpoint
from bert_tf.conversion.checkpoint import (
    ForeignCheckpoint,
    Model,
    NameTables,
    refuse,
    unlike_bert,
    with_placeholders,
)
from bert_tf.data.text import vocabulary
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary_case import is_uncased
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import (
    Entry,
    Shape,
    entries_from_table,
    stored_tensors,
    weights_by_name,
)
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json
from bert_tf.system.listing import listed

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "bert_model.ckpt"
CONFIG_FILE = "bert_config.json"
VOCABULARY_FILE = "vocab.txt"

_LAYER = "bert/encoder/layer_{i}/"
ENCODER_NAMES = {
    "encoder/embeddings/word_embeddings/embeddings": "bert/embeddings/word_embeddings",
    "encoder/embeddings/position_embeddings/embeddings": "bert/embeddings/position_embeddings",
    "encoder/embeddings/token_type_embeddings/embeddings": "bert/embeddings/token_type_embeddings",
    "encoder/embeddings/layer_norm/gamma": "bert/embeddings/LayerNorm/gamma",
    "encoder/embeddings/layer_norm/beta": "bert/embeddings/LayerNorm/beta",
    "encoder/layer_{i}/attention/query_key_value/kernel": _LAYER + "attention/self/{qkv}/kernel",
    "encoder/layer_{i}/attention/query_key_value/bias": _LAYER + "attention/self/{qkv}/bias",
    "encoder/layer_{i}/attention/output/kernel": _LAYER + "attention/output/dense/kernel",
    "encoder/layer_{i}/attention/output/bias": _LAYER + "attention/output/dense/bias",
    "encoder/layer_{i}/attention_layer_norm/gamma": _LAYER + "attention/output/LayerNorm/gamma",
    "encoder/layer_{i}/attention_layer_norm/beta": _LAYER + "attention/output/LayerNorm/beta",
    "encoder/layer_{i}/intermediate/kernel": _LAYER + "intermediate/dense/kernel",
    "encoder/layer_{i}/intermediate/bias": _LAYER + "intermediate/dense/bias",
    "encoder/layer_{i}/output/kernel": _LAYER + "output/dense/kernel",
    "encoder/layer_{i}/output/bias": _LAYER + "output/dense/bias",
    "encoder/layer_{i}/output_layer_norm/gamma": _LAYER + "output/LayerNorm/gamma",
    "encoder/layer_{i}/output_layer_norm/beta": _LAYER + "output/LayerNorm/beta",
}
POOLER_NAMES = {
    "encoder/pooler/dense/kernel": "bert/pooler/dense/kernel",
    "encoder/pooler/dense/bias": "bert/pooler/dense/bias",
}
MASKED_LM_NAMES = {
    "masked_lm/dense/kernel": "cls/predictions/transform/dense/kernel",
    "masked_lm/dense/bias": "cls/predictions/transform/dense/bias",
    "masked_lm/layer_norm/gamma": "cls/predictions/transform/LayerNorm/gamma",
    "masked_lm/layer_norm/beta": "cls/predictions/transform/LayerNorm/beta",
    "masked_lm/bias": "cls/predictions/output_bias",
}
NEXT_SENTENCE_NAMES = {
    "next_sentence/dense/kernel": "cls/seq_relationship/output_weights",
    "next_sentence/dense/bias": "cls/seq_relationship/output_bias",
}
CLASSIFIER_NAMES = {
    "head/dense/kernel": "output_weights",
    "head/dense/bias": "output_bias",
}
ANSWER_NAMES = {
    "head/dense/kernel": "cls/squad/output_weights",
    "head/dense/bias": "cls/squad/output_bias",
}
NAMES = NameTables(
    encoder=ENCODER_NAMES,
    pooler=POOLER_NAMES,
    masked_lm=MASKED_LM_NAMES,
    next_sentence=NEXT_SENTENCE_NAMES,
    heads={"classification": CLASSIFIER_NAMES, "question_answering": ANSWER_NAMES},
)
TRANSPOSED = ("next_sentence/dense/kernel", "head/dense/kernel")
NOT_WEIGHTS = (
    *("adam_m", "adam_v", "lamb_m", "lamb_v", "global_step"),
    *("Adam", "Adam_1", "beta1_power", "beta2_power", "loss_scale", "good_steps"),
)
"""Last parts of names: an optimizer's slots beside each variable, the step, a loss scale."""

ARCHITECTURE = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 16,
    "initializer_range": 0.02,
}
"""Settings by the names that they have there and here; the values are Google's defaults."""
ACTIVATIONS = ("gelu", "relu")
"""Google's `gelu` is the tanh approximation, as ours."""
LAYER_NORM_EPS = 1e-12
ONLY = {
    "layer_norm_eps": LAYER_NORM_EPS,
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "num_hidden_groups": 1,
}
"""Settings that other codes add, of which this is the one supported value."""
CLASSIFIER_DROPOUT_PROB = 0.1
"""Of `run_classifier.py`, which has it in its code."""
MAX_WORD_CHARACTERS = 200


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a folder with a TF1 checkpoint, or the prefix of one."""
    return tensorflow_checkpoint.is_checkpoint(path, has_object_graph=False)


def open_checkpoint(path: Path, *, lower_case: bool | None = None) -> ForeignCheckpoint:
    """Open a folder or a prefix; the other two files stand beside the checkpoint.

    Args:
        lower_case: Google's `do_lower_case`; None asks the vocabulary.

    Raises:
        FileNotFoundError: a file is not there. The vocabulary may be missing.
        ValueError: a file is damaged, or asks for what this package does not do.
    """
    prefix, stored, read = tensorflow_checkpoint.open_tensors(path)
    architecture = read_architecture(prefix.parent / CONFIG_FILE)
    shapes = {
        name: shape for name, shape in stored.items() if name.split("/")[-1] not in NOT_WEIGHTS
    }
    description = _describe(architecture, shapes, source=str(prefix))
    return ForeignCheckpoint(
        source=str(prefix),
        description=description,
        tokenizer=read_tokenizer(
            prefix.parent / VOCABULARY_FILE,
            vocab_size=architecture.vocab_size or 0,
            lower_case=lower_case,
        ),
        entries=entries(description),
        shapes=shapes,
        read=read,
    )


def write_checkpoint(model: Model, directory: Path, *, target: Path | None = None) -> None:
    """Write checkpoint, configuration and vocabulary as Google's code reads them.

    What the files cannot hold but Google's code can be told (`do_lower_case`, names of classes)
    is named in a warning of the log.

    Args:
        target: where `directory` will be moved to, for messages.

    Raises:
        ValueError: Google's code would compute something else than the model, or give other
            tokens; nothing was written then.
    """
    description = model.description
    refuse(
        str(target or directory),
        _unlike_google(description, model.tokenizer),
        what="only what Google's BERT computes can be written for it.",
    )
    for unsaid in _unsaid(description, model.tokenizer):
        logger.warning("%s: these files cannot say %s", target or directory, unsaid)
    directory.mkdir(parents=True, exist_ok=True)
    stored = dict(stored_tensors(weights_by_name(model.network), entries(description)))
    tf.raw_ops.SaveV2(
        prefix=str(directory / CHECKPOINT_NAME),
        tensor_names=list(stored),
        shape_and_slices=[""] * len(stored),
        tensors=list(stored.values()),
    )
    if model.tokenizer is not None:
        vocabulary.write_vocabulary(model.tokenizer.vocabulary, directory / VOCABULARY_FILE)
    names = ("vocab_size", *ARCHITECTURE)
    config = {name: getattr(description.architecture, name) for name in names}
    write_whole(directory / CONFIG_FILE, json.dumps(config, indent=2) + "\n")


def read_architecture(path: Path) -> ModelConfig:
    """What a `bert_config.json` describes; settings that nothing here depends on are ignored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it describes something else than BERT; lists every reason.
    """
    given = read_json(path)
    config = ARCHITECTURE | given
    only = ONLY | {"embedding_size": config["hidden_size"]}
    faults = [
        f"{name}={given[name]!r}, where only {value!r} is supported"
        for name, value in only.items()
        if given.get(name) not in (None, value)
    ]
    if config["hidden_act"] not in ACTIVATIONS:
        faults.append(
            f"hidden_act={config['hidden_act']!r}, where one of {list(ACTIVATIONS)} is supported"
        )
    if "vocab_size" not in given:
        faults.append("missing: vocab_size")
    refuse(str(path), faults, what="must describe a BERT encoder.")
    known = {name: config[name] for name in ("vocab_size", *ARCHITECTURE)}
    return make_architecture(known, source=str(path))


def make_architecture(settings: Mapping[str, Any], *, source: str) -> ModelConfig:
    """The configuration, with Google's LayerNorm. Raises ValueError with `source`."""
    try:
        return ModelConfig(**settings, layer_norm_eps=LAYER_NORM_EPS)
    except pydantic.ValidationError as error:
        faults = (".".join(map(str, (*e["loc"], e["msg"]))) for e in error.errors())
        raise ValueError(
            f"{source}: must describe a BERT encoder. Received: {'; '.join(faults)}"
        ) from error


def read_tokenizer(path: Path, *, vocab_size: int, lower_case: bool | None) -> Tokenizer | None:
    """The tokenizer of a `vocab.txt` of Google's, or None where there is no such file.

    Args:
        vocab_size: rows of the embedding table; the vocabulary is filled up to it.
        lower_case: None asks `is_uncased`.
    """
    if not path.is_file():
        return None
    tokens = vocabulary.read_vocabulary(path)
    if lower_case is None:
        lower_case = is_uncased(tokens)
        logger.info(
            "%s: by its pieces this vocabulary is %s.", path, "uncased" if lower_case else "cased"
        )
    return WordPieceTokenizer(
        with_placeholders(tokens, vocab_size=vocab_size, source=str(path)),
        lower_case=lower_case,
        strip_accents=lower_case,
        unicode_normalization="none",
        max_word_characters=MAX_WORD_CHARACTERS,
    )


def _describe(
    architecture: ModelConfig, shapes: Mapping[str, Shape], *, source: str
) -> ModelDescription:
    """What the tensors that are there make."""

    def has(table: Mapping[str, str]) -> bool:
        return any(name in shapes for name in table.values())

    about: dict[str, Any] = {
        "architecture": architecture,
        "max_seq_length": architecture.max_position_embeddings,
        "has_pooler": has(POOLER_NAMES),
    }
    if has(ANSWER_NAMES):
        about["kind"] = "question_answering"
    elif has(CLASSIFIER_NAMES):
        sizes = [shapes[name][0] for name in CLASSIFIER_NAMES.values() if shapes.get(name)]
        if sizes[:1] == [1]:
            raise ValueError(
                f"{source}: a classifier must give one label of several to each text. Received: "
                "output_weights with one row, as for regression."
            )
        about |= {
            "kind": "classification",
            "class_names": _numbers(sizes[0] if sizes else 2),
            "classifier_dropout_prob": CLASSIFIER_DROPOUT_PROB,
            "has_pooler": True,
        }
    elif has(MASKED_LM_NAMES) or has(NEXT_SENTENCE_NAMES):
        about |= {
            "kind": "pretraining",
            "has_masked_lm": has(MASKED_LM_NAMES),
            "has_next_sentence": has(NEXT_SENTENCE_NAMES),
            "has_pooler": has(POOLER_NAMES) or has(NEXT_SENTENCE_NAMES),
        }
    else:
        about |= {"kind": "encoder", "pooling": "pooler" if about["has_pooler"] else "mean"}
    return ModelDescription.model_validate(about)


def _numbers(num_classes: int) -> tuple[str, ...]:
    return tuple(map(str, range(num_classes)))


def entries(description: ModelDescription) -> list[Entry]:
    """Which variables of Google's make up each weight of a model."""
    return entries_from_table(
        NAMES.of(description),
        num_layers=description.architecture.num_hidden_layers,
        layout=lambda ours: {"is_transposed": ours in TRANSPOSED},
    )


def _unlike_google(description: ModelDescription, tokenizer: Tokenizer | None) -> list[str]:
    """What would be read, or computed, differently by Google's code."""
    architecture = description.architecture
    faults = unlike_bert(architecture)
    if architecture.hidden_act not in ACTIVATIONS:
        faults.append(f"hidden_act={architecture.hidden_act!r}")
    if architecture.layer_norm_eps != LAYER_NORM_EPS:
        faults.append(f"layer_norm_eps={architecture.layer_norm_eps!r}")
    if description.kind not in ("encoder", "pretraining", *NAMES.heads):
        faults.append(f"kind={description.kind!r}")
    if tokenizer is not None:
        settings = tokenizer.settings
        if settings["lower_case"] != settings["strip_accents"]:
            faults.append("lower_case without strip_accents: do_lower_case does both or neither")
        if settings["unicode_normalization"] == "NFKC":
            faults.append("unicode_normalization='NFKC': Google's code normalises no text")
    return faults


def _unsaid(description: ModelDescription, tokenizer: Tokenizer | None) -> Iterator[str]:
    """What a user of the files must know besides."""
    if tokenizer is not None:
        settings = tokenizer.settings
        if is_uncased(tokenizer.vocabulary) != settings["lower_case"]:
            yield (
                f"do_lower_case={settings['lower_case']}, which the vocabulary does not show: "
                "name it wherever they are read"
            )
        if settings["unicode_normalization"] != "none":
            yield (
                f"unicode_normalization={settings['unicode_normalization']}: "
                "Google's code must be given text in that form"
            )
        if settings["max_word_characters"] != MAX_WORD_CHARACTERS:
            yield (
                f"max_word_characters={settings['max_word_characters']}: "
                f"Google's code gives up words of more than {MAX_WORD_CHARACTERS}"
            )
    names = description.class_names
    if names != _numbers(len(names)):
        yield f"the names of classes, in order: {listed(names)}"
    if description.max_seq_length != description.architecture.max_position_embeddings:
        yield f"max_seq_length={description.max_seq_length}"
    if not description.has_pooler:
        yield "that there is no pooler: Google's code makes one, of random weights"
    is_usual = description.pooling == ("pooler" if description.has_pooler else "mean")
    if description.kind == "encoder" and (not is_usual or description.normalize_embeddings):
        yield (
            f"how an embedding is made: pooling={description.pooling}, "
            f"normalize_embeddings={description.normalize_embeddings}"
        )
