"""The sections of the commands that train, measure, export and report, and the whole tree."""

import pydantic

from bert_tf.config.data import (
    CorpusConfig,
    ExamplesConfig,
    MaskingConfig,
    RecordsConfig,
    TokenizerConfig,
    VocabularyConfig,
)
from bert_tf.config.model import ModelConfig
from bert_tf.config.section import Rate, Section
from bert_tf.config.training import FinetuningTrainingConfig, PretrainingTrainingConfig


class PretrainingConfig(Section):
    """`bert-tf pretrain`: masked-token and next-sentence prediction over prepared records."""

    records: str | None = None
    """A folder that `bert-tf prepare` wrote; or a file, folder or glob of static TFRecords that
    Google's or Model Garden's create_pretraining_data.py wrote, with tokenizer.vocabulary."""
    eval_records: str | None = None
    """Held-out static TFRecords, where `records` names such."""
    num_train_steps: pydantic.PositiveInt = 100_000
    max_eval_steps: pydantic.PositiveInt | None = 100
    training: PretrainingTrainingConfig = PretrainingTrainingConfig()


class FinetuningConfig(Section):
    """`bert-tf finetune`: a classifier of texts or pairs of texts on a pretrained encoder."""

    pretrained: str | None = None
    """A folder that `bert-tf pretrain` wrote: encoder, architecture and tokenizer."""
    from_scratch: bool = False
    """Keep the architecture and tokenizer of `pretrained`, but start from random weights."""
    train_path: str | None = None
    eval_path: str | None = None
    """.tsv (header, no quoting) or .jsonl."""
    text_field: str = "text"
    text_pair_field: str | None = None
    label_field: str = "label"
    max_seq_length: int = pydantic.Field(default=128, ge=8)
    num_epochs: pydantic.PositiveFloat = 3.0
    group_by_length: bool = False
    """Batches of texts of like length: little padding is computed, and a step takes a third of the
    time where lengths differ much. Every text is still seen once an epoch; which ones share a batch
    is less random than by a plain shuffle."""
    classifier_dropout_prob: Rate = 0.1
    training: FinetuningTrainingConfig = FinetuningTrainingConfig()


class EvaluationConfig(Section):
    """`bert-tf evaluate`: a saved model on held-out records or on labelled data."""

    model: str | None = None
    """A folder that `bert-tf pretrain` or `bert-tf finetune` wrote."""
    data: str | None = None
    """For a pretrained model a folder of records, for a classifier a labelled file whose columns
    `finetuning.text_field`, `text_pair_field` and `label_field` name."""
    batch_size: pydantic.PositiveInt = 64
    max_steps: pydantic.PositiveInt | None = None


class ExportConfig(Section):
    """`bert-tf export`: a SavedModel for TF Serving."""

    model: str | None = None
    """A folder that `bert-tf pretrain` or `bert-tf finetune` wrote."""
    max_seq_length: int | None = pydantic.Field(default=None, ge=8)
    """Default: the length the model was trained with."""
    top_k: pydantic.PositiveInt = 5
    """Answers of `fill_mask`."""


class TrackingConfig(Section):
    """MLflow. The server is `MLFLOW_TRACKING_URI`, or else a SQLite file in the working folder."""

    enabled: bool = True
    experiment: str = "bert_tf"
    run_name: str | None = None
    system_metrics_interval_seconds: pydantic.PositiveFloat = 10.0


class Config(Section):
    """The whole tree."""

    seed: int = pydantic.Field(default=42, ge=0, lt=2**31)
    corpus: CorpusConfig = CorpusConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    examples: ExamplesConfig = ExamplesConfig()
    masking: MaskingConfig = MaskingConfig()
    records: RecordsConfig = RecordsConfig()
    model: ModelConfig = ModelConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()
    tracking: TrackingConfig = TrackingConfig()
