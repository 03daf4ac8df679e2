"""BERT from raw text, in any language, to a model that is fine-tuned, measured and served.

From Python, as in docs/python.md (the command line is `bert-tf`):

    import bert_tf

    model = bert_tf.finetune(
        train=train_frame, held_out=dev_frame, task="multi_label",
        pretrained="runs/encoder", output_dir="runs/comments",
    )
    model.predict(["what a film"])          # a DataFrame, a row a text
    bert_tf.load("models:/comments@champion").embed(texts)

    vocab, prepare, pretrain    text to a vocabulary, to records, to an encoder
    finetune                    labelled examples and an encoder to a model of a task
    evaluate                    a model's metrics on other examples
    benchmark                   a model on the sets of GLUE or KLUE, as the papers' table
    export                      a model to a SavedModel for TF Serving
    load                        any model, to be asked with texts (LoadedModel)
    Config, load_config         every setting, checked; from a YAML file
    Task                        what a task of your own is made from

`help(bert_tf.finetune)` tells of one of them. Importing this imports neither TensorFlow nor the
rest of the package; what is used brings what it needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

from bert_tf.system.version import __version__

if TYPE_CHECKING:
    from bert_tf.api.loaded import LoadedModel
    from bert_tf.api.loading import load
    from bert_tf.api.stages import (
        benchmark,
        evaluate,
        export,
        finetune,
        prepare,
        pretrain,
        vocab,
    )
    from bert_tf.config import Config, load_config
    from bert_tf.tasks.base import Task

__all__ = [
    "Config",
    "LoadedModel",
    "Task",
    "__version__",
    "benchmark",
    "evaluate",
    "export",
    "finetune",
    "load",
    "load_config",
    "prepare",
    "pretrain",
    "vocab",
]

_PLACES = {
    "bert_tf.api.loaded": ("LoadedModel",),
    "bert_tf.api.loading": ("load",),
    "bert_tf.api.stages": (
        *("benchmark", "evaluate", "export", "finetune", "prepare", "pretrain", "vocab"),
    ),
    "bert_tf.config": ("Config", "load_config"),
    "bert_tf.tasks.base": ("Task",),
}


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'bert_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
