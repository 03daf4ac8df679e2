"""Every setting of the package: YAML and `--set a.b=value` in, one frozen validated tree out.

A stage (`vocab`, `prepare`, `pretrain`, …) reads its own section and writes the resolved tree
beside its result as `config.yaml`. Names are Google's where BERT has one (`hidden_size`,
`max_seq_length`, `masked_lm_prob`). Nothing is adjusted silently: a wrong value is refused.
"""

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
from bert_tf.config.model import MODEL_SIZES, ModelConfig
from bert_tf.config.parallel import ParallelConfig
from bert_tf.config.reading import (
    CONFIG_FILE,
    TRAINING_CONFIG_FILE,
    load_config,
    merged,
    read_columns,
    read_overrides,
    required,
    validate_config,
    write_config,
)
from bert_tf.config.section import Section, Share
from bert_tf.config.table import TableConfig
from bert_tf.config.task import TaskConfig
from bert_tf.config.training import (
    FinetuningOptimizerConfig,
    FinetuningTrainingConfig,
    OptimizerConfig,
    PretrainingOptimizerConfig,
    PretrainingTrainingConfig,
    TrainingConfig,
)
from bert_tf.config.tree import (
    CardConfig,
    Config,
    EvaluationConfig,
    ExportConfig,
    FinetuningConfig,
    PhaseConfig,
    PretrainingConfig,
    TrackingConfig,
)

__all__ = [
    "CONFIG_FILE",
    "MODEL_SIZES",
    "TRAINING_CONFIG_FILE",
    "CardConfig",
    "Config",
    "CorpusConfig",
    "DecodingConfig",
    "EvaluationConfig",
    "ExamplesConfig",
    "ExportConfig",
    "FinetuningConfig",
    "FinetuningOptimizerConfig",
    "FinetuningTrainingConfig",
    "FlowConfig",
    "GateConfig",
    "MaskingConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ParallelConfig",
    "PhaseConfig",
    "PretrainingConfig",
    "PretrainingOptimizerConfig",
    "PretrainingTrainingConfig",
    "RecordsConfig",
    "Section",
    "Share",
    "TableConfig",
    "TaskConfig",
    "TokenizerConfig",
    "TrackingConfig",
    "TrainingConfig",
    "VocabularyConfig",
    "load_config",
    "merged",
    "read_columns",
    "read_overrides",
    "required",
    "validate_config",
    "write_config",
]
