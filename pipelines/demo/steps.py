"""The demo's own steps: its texts, the classifier from scratch, the questions at the end."""

import os
from pathlib import Path

from bert_tf.exporting.version_folders import newest_version
from pipelines.demo.documentation_corpus import write_documentation_corpus
from pipelines.engine.step import Context
from pipelines.steps.delivery import read_published
from pipelines.steps.training import export, finetune

# Few labels: that is when a pretrained encoder is worth having.
_MAX_EXAMPLES_PER_LABEL = 100
ANSWERS_FILE = "answers.json"


def text(context: Context) -> None:
    """Documentation of installed packages: a corpus and labelled texts."""
    write_documentation_corpus(
        context.directory,
        max_examples_per_label=_MAX_EXAMPLES_PER_LABEL,
        num_workers=len(os.sched_getaffinity(0)),
    )


def finetune_from_scratch(context: Context) -> None:
    """The same classifier from random weights."""
    section = context.config.finetuning.model_copy(update={"from_scratch": True})
    finetune(context.with_config(finetuning=section))


def export_from_scratch(context: Context) -> None:
    """Its SavedModel."""
    export(context, model="finetune_from_scratch")


def answers(context: Context) -> None:
    """What the server says over REST and gRPC about texts that no training has seen."""
    from pipelines.demo.questions import ask

    ask(
        Path(read_published(context)["path"]).parent,
        eval_path=context.folder("text") / "eval.tsv",
        from_scratch_dir=newest_version(context.folder("export_from_scratch")),
        output_path=context.directory / ANSWERS_FILE,
    )
