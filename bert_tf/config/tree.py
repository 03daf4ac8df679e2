"""The sections of the commands that train, measure, export and report, and the whole tree."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from bert_tf.config.data import (
    CorpusConfig,
    ExamplesConfig,
    MaskingConfig,
    RecordsConfig,
    TokenizerConfig,
    VocabularyConfig,
)
from bert_tf.config.decoding import DecodingConfig
from bert_tf.config.flow import FlowConfig
from bert_tf.config.gate import GateConfig
from bert_tf.config.keys import unknown_keys
from bert_tf.config.model import ModelConfig
from bert_tf.config.parallel import ParallelConfig
from bert_tf.config.section import ColumnName, Rate, Section
from bert_tf.config.table import TableConfig
from bert_tf.config.task import TaskConfig
from bert_tf.config.training import FinetuningTrainingConfig, PretrainingTrainingConfig


class PhaseConfig(Section):
    """A phase of a pretraining: its records, its steps, and what differs from `pretraining`."""

    records: str
    """As `pretraining.records`. All phases have one vocabulary."""
    eval_records: str | None = None
    num_train_steps: pydantic.PositiveInt
    batch_size: pydantic.PositiveInt | None = None
    accumulation_steps: pydantic.PositiveInt | None = None
    max_predictions_per_seq: pydantic.PositiveInt | None = None
    """Default: `masking.max_predictions_per_seq`. 20 at length 128, 76 to 80 at 512."""
    learning_rate: pydantic.PositiveFloat | None = None
    """Every phase then has a schedule of its own, over its steps, with this peak (usual for LAMB).
    Default: one schedule over the steps of all phases."""
    warmup_share: Rate | None = None
    """Of a schedule of its own. Default: that of `pretraining.training.optimizer`."""


class PretrainingConfig(Section):
    """`bert-tf pretrain`: masked-token and next-sentence prediction over prepared records."""

    pretrained: str | None = None
    """A model folder to go on from: encoder, and the heads it has; architecture and vocabulary are
    its own. Default: random weights. Records must be made with its vocabulary."""
    records: str | None = None
    """A folder that `bert-tf prepare` wrote; or a file, folder or glob of static TFRecords that
    Google's or Model Garden's create_pretraining_data.py wrote, with tokenizer.vocabulary."""
    eval_records: str | None = None
    """Held-out static TFRecords, where `records` names such."""
    num_train_steps: pydantic.PositiveInt = 100_000
    """With `phases` the sum of theirs."""
    phases: tuple[PhaseConfig, ...] = ()
    """Instead of `records`: phases one after the other, such as 900,000 steps at length 128 and
    100,000 at 512. Weights, optimizer and step go on from one to the next."""
    max_eval_steps: pydantic.PositiveInt | None = 100
    training: PretrainingTrainingConfig = PretrainingTrainingConfig()

    @pydantic.model_validator(mode="after")
    def _phases_stand_alone(self) -> Self:
        if not self.phases:
            return self
        for name in ("records", "eval_records"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} must be unset with phases, which name their own. Received: "
                    f"{getattr(self, name)!r}. Take it out."
                )
        total = sum(phase.num_train_steps for phase in self.phases)
        if "num_train_steps" in self.model_fields_set and self.num_train_steps != total:
            raise ValueError(
                "num_train_steps must be the sum of the phases' or left out. Received: "
                f"{self.num_train_steps}, and phases of {total} in all. Leave it out."
            )
        object.__setattr__(self, "num_train_steps", total)
        have_rate = [phase.learning_rate is not None for phase in self.phases]
        if any(have_rate) and not all(have_rate):
            raise ValueError(
                "learning_rate must be set in every phase (a schedule each) or in none (one "
                f"schedule for all). Received: in {sum(have_rate)} of {len(have_rate)}. Set or "
                "leave out the others."
            )
        if any(p.warmup_share is not None and p.learning_rate is None for p in self.phases):
            raise ValueError(
                "warmup_share of a phase needs its learning_rate: only a schedule of its own has a "
                "warm-up. Received: warmup_share alone. Set learning_rate in every phase."
            )
        return self


class FinetuningConfig(Section):
    """`bert-tf finetune`: a task of texts or pairs of texts on a pretrained encoder."""

    task: TaskConfig = TaskConfig()
    """A name, such as `multi_label`, or `name` with the task's own settings."""

    pretrained: str | None = None
    """A folder that `bert-tf pretrain` wrote: encoder, architecture and tokenizer."""
    from_scratch: bool = False
    """Keep the architecture and tokenizer of `pretrained`, but start from random weights."""
    train_path: str | tuple[str, ...] | None = None
    eval_path: str | tuple[str, ...] | None = None
    """Tables: files (.csv, .tsv, .jsonl, .json, .parquet, .conll, packed or not), globs, `hub:`
    names; two text files whose lines belong together as one name, `train.{en,de}.gz`: columns
    `source` and `target`. `train_path` may be a folder of pairs that `bert-tf prepare` wrote."""
    table: TableConfig = TableConfig()
    text_field: ColumnName = "text"
    text_pair_field: ColumnName | None = None
    label_field: ColumnName = "label"
    """Columns; of JSON also dotted (`labels.label`), without a header numbers from 1."""
    max_seq_length: int = pydantic.Field(default=128, ge=8)
    max_windows: pydantic.PositiveInt | None = None
    """Rows of `max_seq_length` tokens that a longer text, of a pair the second, is read in at most;
    what is beyond is cut. Default: the task's, 1 of most."""
    window_stride: pydantic.PositiveInt | None = None
    """Tokens from the start of a window to the start of the next, so that they overlap. Default:
    half of `max_seq_length`."""
    window_join: Literal["mean", "max"] = "mean"
    """How scores of windows become those of their text. Tasks that score tokens have each token's
    scores from the window where it has the most text around it."""
    num_epochs: pydantic.PositiveFloat = 3.0
    group_by_length: bool = False
    """Batches grouped by length: little padding is computed, and a step takes a third of the time
    where lengths differ much. Every text is still seen once an epoch; which texts share a batch is
    less random than by a plain shuffle."""
    classifier_dropout_prob: Rate = 0.1
    training: FinetuningTrainingConfig = FinetuningTrainingConfig()


class EvaluationConfig(Section):
    """`bert-tf evaluate`: a saved model on held-out records or on labelled data."""

    model: str | None = None
    """A folder that `bert-tf pretrain` or `bert-tf finetune` wrote."""
    data: str | None = None
    """For a pretrained model a folder of records, for a fine-tuned one a table whose columns
    `finetuning.text_field`, `text_pair_field` and `label_field` name."""
    batch_size: pydantic.PositiveInt = 64
    max_steps: pydantic.PositiveInt | None = None


class ExportConfig(Section):
    """`bert-tf export`: a SavedModel for TF Serving."""

    model: str | None = None
    """A folder that `bert-tf pretrain` or `bert-tf finetune` wrote."""
    max_seq_length: int | None = pydantic.Field(default=None, ge=8)
    """Default: the length the model was trained with."""
    max_windows: pydantic.PositiveInt | None = None
    """In how many rows of that length a long text is read at most. Default: as in training."""
    top_k: pydantic.PositiveInt = 5
    """Answers of `fill_mask`."""
    precision: Literal["float32", "bfloat16", "int8"] = "float32"
    """Of weights and matrix products. `bfloat16` is for hardware with units for it, `int8` for x86
    processors."""
    calibration_texts: str | None = None
    """For `int8`: a file of texts as the model will be asked, one a line, pairs (and choices behind
    their text) with tabs. The ranges of its numbers are chosen on some of them."""
    float32_layers: tuple[str, ...] = ()
    """Products that stay float32 in `int8`, by their names in `assets.extra/quantization.json`."""
    evaluation_data: str | None = None
    """A labelled table, its columns as `finetuning` names them: the report then has the metrics of
    the export, and of float32 beside them."""
    max_metric_loss: pydantic.NonNegativeFloat = 0.005
    """How much worse than float32's the task's first metric may be on `evaluation_data`."""
    decoding: DecodingConfig | None = None
    """Of a model with a decoder, how it writes texts. Default: as in its evaluation."""
    pad_to_multiple_of: pydantic.PositiveInt = 8
    """The longest text of a batch is padded to such a length: few lengths, few shapes."""
    max_text_bytes: int | None = pydantic.Field(default=None, ge=64)
    """What a text has beyond is not looked at. Default: 64 for each token that the model reads."""
    warmup_texts: str | None = None
    """A file of real texts, one a line, pairs with a tab: warm-up requests are made of some.
    Default: texts in several languages that come with the package."""


class CardConfig(Section):
    """What a model's card says that no run knows."""

    model_license: str | None = None
    """Such as `Apache-2.0`."""
    data_license: str | None = None
    intended_use: str | None = None
    limits: str | None = None
    """For what the model was not made, and where it is known to fail."""
    contact: str | None = None


class TrackingConfig(Section):
    """MLflow. The server is `MLFLOW_TRACKING_URI`, or else a SQLite file in the working folder."""

    enabled: bool = True
    experiment: str = "bert_tf"
    run_name: str | None = None
    parent_run_id: str | None = None
    """The MLflow run that this one is shown below."""
    system_metrics_interval_seconds: pydantic.PositiveFloat = 10.0


class Config(Section):
    """The whole tree."""

    seed: int = pydantic.Field(default=42, ge=0, lt=2**31)
    corpus: CorpusConfig = CorpusConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    examples: ExamplesConfig = ExamplesConfig()
    masking: MaskingConfig = MaskingConfig()
    parallel: ParallelConfig = ParallelConfig()
    records: RecordsConfig = RecordsConfig()
    model: ModelConfig = ModelConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    export: ExportConfig = ExportConfig()
    gate: GateConfig = GateConfig()
    flow: FlowConfig = FlowConfig()
    card: CardConfig = CardConfig()
    tracking: TrackingConfig = TrackingConfig()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_the_nearest(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and (faults := unknown_keys(cls, values)):
            raise ValueError("\n".join(faults))
        return values
