"""Defines the flows: their steps, in order, and what each step depends on.

    pretraining         corpus -> vocabulary -> records -> BERT -> registered encoder
    finetuning          registered encoder + labelled texts -> classifier -> gate -> server
    domain_adaptation   published checkpoint -> goes on with own text -> encoder -> as finetuning
    refresh             the scheduled one: what is new in the corpus goes into the encoder, all
                        labelled texts into the classifier -> gate -> server

A step runs when what it reads has changed, and not otherwise. This file knows no runner and no
orchestrator: `engine.runner` and `schedule.definitions` both read it.
"""

import dataclasses

from bert_tf.config import Config
from bert_tf.system.lookalikes import alike_hint, alike_hints
from pipelines.engine.step import Flow, Step
from pipelines.steps import delivery, training
from pipelines.steps.ingest import (
    CORPUS_FILE,
    DOCUMENTS_FILE,
    EVAL_FILE,
    READ_FILE,
    TRAIN_FILE,
    corpus_files,
    hub_sources,
    ingest,
    labelled,
    labelled_files,
)
from pipelines.steps.smoke_test import smoke_test

# --- an encoder: made, or found

FETCH_ENCODER = Step(
    name="fetch_encoder",
    work=delivery.fetch_encoder,
    only_looks=True,
    world=delivery.encoder_version,
    result_folder="model",
    result=training.MODEL_FILES,
    skip=delivery.is_encoder_given,
)
IMPORT_CHECKPOINT = Step(
    name="import_checkpoint",
    work=training.import_checkpoint,
    settings=("flow.checkpoint",),
    files=training.checkpoint_files,
    result_folder="model",
    result=training.MODEL_FILES,
)
INGEST = Step(
    name="ingest",
    work=ingest,
    only_looks=True,
    after=("fetch_encoder",),
    settings=("seed", "corpus", "flow.damaged_files", "flow.replayed_share"),
    files=corpus_files,
    world=lambda context: hub_sources(context.config),
    result=(CORPUS_FILE, DOCUMENTS_FILE, READ_FILE),
)
VOCABULARY = Step(
    name="vocabulary",
    work=training.vocabulary,
    after=("ingest",),
    settings=("seed", "corpus", "vocabulary", "tokenizer"),
    result=training.TOKENIZER_FILES,
    skip=training.is_vocabulary_given,
)
PREPARE = Step(
    name="prepare",
    work=training.prepare,
    after=("ingest", "vocabulary|fetch_encoder|import_checkpoint"),
    settings=("seed", "corpus", "tokenizer", "examples", "records"),
    files=training.given_vocabulary_files,
    result=training.RECORDS_FILES,
    disk_bytes=training.records_bytes,
)
PRETRAIN = Step(
    name="pretrain",
    work=training.pretrain,
    after=("ingest", "prepare"),
    settings=("seed", "model", "masking", "pretraining"),
    files=lambda config: training.model_files(config.pretraining.pretrained),
    result=training.MODEL_FILES,
    disk_bytes=training.training_bytes,
)
CONTINUE = Step(
    name="continue_pretraining",
    work=training.continue_pretraining,
    after=("ingest", "prepare", "fetch_encoder|import_checkpoint"),
    settings=("seed", "model", "masking", "pretraining", "flow.continued_epochs"),
    result=training.MODEL_FILES,
    disk_bytes=training.training_bytes,
)
EXPORT_ENCODER = Step(
    name="export_encoder",
    work=training.export_encoder,
    after=(training.TRAINED_ENCODER,),
    settings=("export", "card"),
    disk_bytes=lambda context: training.export_bytes(context, model=training.TRAINED_ENCODER),
)
REGISTER_ENCODER = Step(
    name="register_encoder",
    work=delivery.register_encoder,
    after=("export_encoder", training.TRAINED_ENCODER),
    sees=("fetch_encoder",),
    settings=("flow.model_name", "flow.encoder_name"),
    result=(delivery.REGISTERED_FILE,),
)

# --- a classifier, and its way to the server

LABELLED = Step(
    name="labelled",
    work=labelled,
    settings=(
        "seed",
        "flow.labelled_held_out_share",
        "flow.source_field",
        "flow.damaged_files",
        "finetuning.task",
        "finetuning.table",
        "finetuning.text_field",
        "finetuning.text_pair_field",
        "finetuning.label_field",
    ),
    files=labelled_files,
    result=(TRAIN_FILE, EVAL_FILE),
    skip=training.own_split,
)
FINETUNE = Step(
    name="finetune",
    work=training.finetune,
    after=(training.ENCODER, "labelled"),
    settings=("seed", "model", "finetuning"),
    files=lambda config: [
        *training.own_split_files(config),
        *training.model_files(config.finetuning.pretrained),
    ],
    result=training.MODEL_FILES,
    disk_bytes=training.training_bytes,
)
EVALUATE = Step(
    name="evaluate",
    work=training.evaluate,
    after=("finetune", training.ENCODER, "labelled"),
    settings=("seed", "evaluation", "finetuning"),
    result=("metrics.json",),
)
EXPORT = Step(
    name="export",
    work=training.export,
    after=(training.CLASSIFIER,),
    settings=("export", "card"),
    disk_bytes=training.export_bytes,
)
REGISTER = Step(
    name="register",
    work=delivery.register,
    after=("finetune", "evaluate", "export"),
    sees=("register_encoder|fetch_encoder",),
    settings=("flow.model_name",),
    result=(delivery.REGISTERED_FILE,),
)
GATE = Step(
    name="gate",
    work=delivery.gate,
    after=("register", "labelled"),
    sees=("register_encoder",),
    settings=("seed", "gate", "finetuning.task", "flow.source_field"),
)
PUBLISH = Step(
    name="publish",
    work=delivery.publish,
    after=("register", "gate"),
    sees=("export",),
    settings=("flow.serving_dir",),
    result=(delivery.PUBLISHED_FILE,),
    skip=delivery.is_not_served,
    is_reused=False,  # whether the version is there, and is champion still
    only_looks=True,
    disk_bytes=delivery.served_bytes,
)
SMOKE_TEST = Step(
    name="smoke_test",
    work=smoke_test,
    after=("publish", "labelled"),
    sees=("export", "register_encoder"),
    settings=("flow.server_url",),
    skip=delivery.is_not_served,
)
TO_THE_SERVER = (LABELLED, FINETUNE, EVALUATE, EXPORT, REGISTER, GATE, PUBLISH, SMOKE_TEST)


def _only_with_new_text(step: Step) -> Step:
    """An encoder that has read all documents stays as it is."""
    after = tuple(dict.fromkeys(("ingest", *step.after)))
    return dataclasses.replace(step, after=after, skip=training.has_too_little_new)


NEW_TEXT = tuple(map(_only_with_new_text, (PREPARE, CONTINUE, EXPORT_ENCODER, REGISTER_ENCODER)))

# --- the flows

IMPORTS = (
    "bert_tf.training.stages.finetuning",
    "bert_tf.exporting.saved_model",
    "bert_tf.registry.judging",
    "mlflow",
)
"""TensorFlow, Keras and what is slow beside them."""
PRETRAINING = Flow(
    "pretraining",
    "a corpus becomes a registered encoder",
    (INGEST, VOCABULARY, PREPARE, PRETRAIN, EXPORT_ENCODER, REGISTER_ENCODER),
    IMPORTS,
)
FINETUNING = Flow(
    "finetuning",
    "labelled texts and a registered encoder become a served classifier",
    (FETCH_ENCODER, *TO_THE_SERVER),
    IMPORTS,
)
DOMAIN_ADAPTATION = Flow(
    "domain_adaptation",
    "a published checkpoint goes on with your own text and becomes a served classifier",
    (
        *(IMPORT_CHECKPOINT, INGEST, PREPARE, CONTINUE, EXPORT_ENCODER, REGISTER_ENCODER),
        *TO_THE_SERVER,
    ),
    IMPORTS,
)
REFRESH = Flow(
    "refresh",
    "what is new since last time goes into encoder and classifier; to be run by a schedule",
    (FETCH_ENCODER, INGEST, *NEW_TEXT, *TO_THE_SERVER),
    IMPORTS,
)
FLOWS = {flow.name: flow for flow in (PRETRAINING, FINETUNING, DOMAIN_ADAPTATION, REFRESH)}


def find_flow(name: str, config: Config) -> Flow:
    """The flow, for a configuration whose names of steps are right.

    Raises:
        ValueError: there is no such flow, or no such step; with those there are.
    """
    if name not in FLOWS:
        raise ValueError(
            f"A flow must be one of {', '.join(FLOWS)}. Received: {name!r}. Name one of these."
            f"{alike_hint(name, FLOWS)}"
        )
    steps = {step.name for flow in FLOWS.values() for step in flow.steps}
    if unknown := set(config.flow.timeout_minutes) - steps:
        raise ValueError(
            f"flow.timeout_minutes: a step must be one of {', '.join(sorted(steps))}. Received: "
            f"{', '.join(sorted(unknown))}. Take these out.{alike_hints(unknown, steps)}"
        )
    return FLOWS[name]
