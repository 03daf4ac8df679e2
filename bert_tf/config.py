"""Every setting of the package: YAML and `--set a.b=value` in, one frozen validated tree out.

A stage (`vocab`, `prepare`, `pretrain`, …) reads its own section and writes the resolved tree
beside its result as `config.yaml`. Names are Google's where BERT has one (`hidden_size`,
`max_seq_length`, `masked_lm_prob`). Nothing is adjusted silently: a wrong value is refused.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard

import pydantic
import yaml

from bert_tf.files import write_whole

CONFIG_FILE = "config.yaml"

Share = Annotated[float, pydantic.Field(ge=0.0, le=1.0)]
Rate = Annotated[float, pydantic.Field(ge=0.0, lt=1.0)]


class Section(pydantic.BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class CorpusConfig(Section):
    """Where raw text comes from and how it falls into documents."""

    paths: tuple[str, ...] = ()
    """Files, folders (read recursively) and globs: .txt and .jsonl (plain, .gz, .zst), .parquet.
    "-" is standard input, for `bert-tf prepare`; `hub:NAME[@REVISION][:CONFIG[:SPLIT]]` is what the
    package `datasets` loads (extra `datasets`)."""
    standard_input_kind: Literal["txt", "jsonl"] = "txt"
    """What standard input holds, not packed."""
    document_boundary: Literal["blank_line", "file", "line", "wikitext"] = "blank_line"
    """What ends a document in a .txt file. In .jsonl, .parquet and hub data sets every row is one.
    `wikitext`: articles with ` = Title = ` headings, where there are rows a line of them a row; the
    headings are left out."""
    text_field: str = "text"
    """The field of a .jsonl line, or the column of another table, that holds the text."""
    encoding_errors: Literal["error", "replace"] = "error"
    """Invalid UTF-8: stop with file and line, or put U+FFFD and count."""
    drop_duplicates: bool = False
    """Of documents with the same text (after NFC) keep the first. Takes up to 64 MB of memory for a
    million documents."""
    min_document_characters: pydantic.NonNegativeInt = 0
    """Drop documents with fewer characters (after NFC, line ends counted)."""
    paragraphs_are_sentences: bool = False
    """The corpus is split already: a line of .txt, or of a row's text, is one sentence as it is."""
    held_out_share: Share = 0.05
    """Share of documents kept for evaluation, chosen by a hash of the text and the seed."""


class VocabularyConfig(Section):
    """How `bert-tf vocab` learns a WordPiece vocabulary."""

    size: pydantic.PositiveInt = 30522
    min_frequency: pydantic.PositiveInt = 2
    limit_alphabet: pydantic.PositiveInt = 6000
    """Characters kept; rarer ones become [UNK]. Hangul alone has 11,172 syllables."""
    user_tokens: tuple[str, ...] = ()
    """Words that must be in the vocabulary whole."""
    num_reserved_tokens: pydantic.NonNegativeInt = 0
    """[unusedN] tokens, to be given a meaning later. The first 99 stand between [PAD] and [UNK]:
    from 99 on [UNK] [CLS] [SEP] [MASK] have the ids 100 to 103, as in Google's vocabularies."""
    sample_bytes: pydantic.PositiveInt | None = None
    """Learn from at most this many bytes of text, documents drawn by a hash of their text and the
    seed. Default: all of it. The memory needed grows with the different words."""


class TokenizerConfig(Section):
    """Text to WordPiece ids. Written as `tokenizer.json` beside every `vocab.txt`."""

    vocabulary: str | None = None
    """A `vocab.txt`, or a folder with one. A `tokenizer.json` beside it rules the fields below."""
    lower_case: bool = False
    strip_accents: bool = False
    """Remove accents by NFD, as Google's uncased models do. Takes Hangul apart: not for Korean."""
    unicode_normalization: Literal["NFC", "NFKC", "none"] = "NFC"
    max_word_characters: int = pydantic.Field(default=200, ge=1, le=400)
    """A longer word is [UNK]. Google's code: 200; Hugging Face's files for BERT: 100."""

    @pydantic.model_validator(mode="after")
    def _accents_need_lower_case(self) -> Self:
        if self.strip_accents and not self.lower_case:
            raise ValueError(
                "strip_accents needs lower_case: BERT's normaliser does both or neither. "
                "Received: strip_accents=true, lower_case=false. Set tokenizer.lower_case=true."
            )
        return self


class ExamplesConfig(Section):
    """Documents to sentence pairs. Defaults: Devlin et al. 2019, appendix A.2."""

    max_seq_length: int = pydantic.Field(default=128, ge=8)
    """Tokens, [CLS] and both [SEP] included."""
    next_sentence: bool = True
    """Pairs with labels; false fills each sequence with consecutive sentences of one document
    (Liu et al. 2019, RoBERTa, "doc-sentences")."""
    negative_pairs: Literal["random", "swapped"] = "random"
    """What the pairs of label 1 are: next-sentence prediction, with a second part of another
    document, or sentence-order prediction (Lan et al. 2020, ALBERT), with both parts exchanged."""
    random_next_share: Share = 0.5
    """Share of label 1 among chunks of two sentences or more. One sentence alone gets a `random`
    second part; with `swapped` it has none, and no label."""
    short_seq_prob: Share = 0.1

    @pydantic.model_validator(mode="after")
    def _swapped_pairs_are_pairs(self) -> Self:
        if self.negative_pairs == "swapped" and not self.next_sentence:
            raise ValueError(
                "negative_pairs=swapped needs pairs. Received: next_sentence=false. "
                "Set examples.next_sentence=true, or leave negative_pairs out."
            )
        return self


class MaskingConfig(Section):
    """Which tokens are predicted and what stands in their place. Defaults: Devlin et al. 2019."""

    unit: Literal["token", "word", "ngram", "span"] = "token"
    """What is chosen at once: a token, a whole word, 1 to `max_ngram_words` neighbouring words, or
    1 to `max_span_words`. A word is a piece and the `##` pieces after it."""
    masked_lm_prob: Rate = 0.15
    max_predictions_per_seq: pydantic.PositiveInt = 20
    mask_share: Share = 0.8
    random_share: Share = 0.1
    """The rest of the selected tokens stays as it is."""
    max_ngram_words: int = pydantic.Field(default=3, ge=1, le=10)
    """`unit: ngram`: n words have a weight of 1/n (Lan et al. 2020, ALBERT)."""
    max_span_words: int = pydantic.Field(default=10, ge=1, le=20)
    span_stop_prob: float = pydantic.Field(default=0.2, gt=0.0, lt=1.0)
    """`unit: span`: the p of the geometric distribution of words (Joshi et al. 2020, SpanBERT)."""

    @pydantic.model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.mask_share + self.random_share > 1.0 + 1e-9:
            raise ValueError(
                "mask_share + random_share must be at most 1. Received: "
                f"{self.mask_share} + {self.random_share}. Lower one of them."
            )
        return self


class RecordsConfig(Section):
    """How `bert-tf prepare` writes TFRecord files."""

    num_shards: pydantic.PositiveInt = 8
    num_workers: pydantic.NonNegativeInt = 0
    """Processes; 0 means one a core. The records do not depend on it."""
    compression: Literal["none", "gzip"] = "none"


MODEL_SIZES: dict[str, dict[str, int]] = {
    name: {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }
    for name, layers, hidden, heads in (
        ("tiny", 2, 128, 2),
        ("mini", 4, 256, 4),
        ("small", 4, 512, 8),
        ("medium", 8, 512, 8),
        ("base", 12, 768, 12),
        ("large", 24, 1024, 16),
    )
}
"""Devlin et al. 2019 (base, large); Turc et al. 2019 (the smaller ones)."""


class ModelConfig(Section):
    """The encoder's architecture, in the names of Google's `bert_config.json`."""

    size: Literal["tiny", "mini", "small", "medium", "base", "large"] | None = None
    """Sets the four numbers below that are not given. Without it they default to base."""
    num_hidden_layers: pydantic.PositiveInt = 12
    hidden_size: pydantic.PositiveInt = 768
    num_attention_heads: pydantic.PositiveInt = 12
    intermediate_size: pydantic.PositiveInt = 3072
    vocab_size: pydantic.PositiveInt | None = None
    """Default: the vocabulary's size."""
    max_position_embeddings: pydantic.PositiveInt = 512
    type_vocab_size: pydantic.PositiveInt = 2
    hidden_act: Literal["gelu", "gelu_exact", "relu"] = "gelu"
    """`gelu` is Google's tanh approximation; `gelu_exact` uses the error function."""
    norm_first: bool = False
    """LayerNorm before attention and feed-forward network (pre-LN) instead of after (post-LN)."""
    position_embedding: Literal["learned", "sinusoidal"] = "learned"
    """`sinusoidal` positions have no weights; max_position_embeddings stays the limit."""
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    initializer_range: pydantic.PositiveFloat = 0.02
    layer_norm_eps: pydantic.PositiveFloat = 1e-12
    masked_lm_act: Literal["gelu", "gelu_exact", "relu"] | None = None
    """The masked-token head's own activation, for models of libraries that have another there.
    Default: hidden_act."""
    masked_lm_layer_norm_eps: pydantic.PositiveFloat | None = None
    """The masked-token head's own epsilon, for the same. Default: layer_norm_eps."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in_size(cls, values: Any) -> Any:
        size = values.get("size") if isinstance(values, Mapping) else None
        if isinstance(size, str) and size in MODEL_SIZES:
            return {**MODEL_SIZES[size], **values}
        return values

    @pydantic.model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "num_attention_heads must divide hidden_size. Received: "
                f"hidden_size={self.hidden_size}, num_attention_heads={self.num_attention_heads}. "
                f"Use a divisor of {self.hidden_size}."
            )
        return self


class OptimizerConfig(Section):
    """How weights follow from gradients, and at what learning rate at which step."""

    name: Literal["adamw", "lamb"] = "adamw"
    """`lamb` scales each matrix's step to its norm: for very large batches."""
    learning_rate: pydantic.PositiveFloat = 1e-4
    """The peak: the end of the warm-up."""
    warmup_share: Rate = 0.1
    """Share of all steps in which the learning rate rises from zero."""
    schedule: Literal["linear", "cosine", "polynomial", "constant"] = "linear"
    """How the learning rate falls after the warm-up. `constant`: not, for `constant_share` of all
    steps, then linearly."""
    schedule_power: pydantic.PositiveFloat = 0.5
    """`schedule: polynomial`: the power of the share of steps left; 0.5 is usual for LAMB."""
    constant_share: Share = 0.0
    end_learning_rate: Share = 0.0
    """Where the learning rate ends, as a share of `learning_rate`."""
    layer_decay: float = pydantic.Field(default=1.0, gt=0.0, le=1.0)
    """Each layer below the heads learns at this multiple of the rate of the one above it."""
    weight_decay_rate: pydantic.NonNegativeFloat = 0.01
    beta_1: Rate = 0.9
    beta_2: Rate = 0.999
    epsilon: pydantic.PositiveFloat = 1e-6
    bias_correction: bool = True
    """False gives the update of Google's 2018 code, blamed for unstable fine-tuning."""
    max_grad_norm: pydantic.PositiveFloat = 1.0
    """The gradient of the whole batch is scaled down to this global norm."""
    ema_decay: float | None = pydantic.Field(default=None, gt=0.0, lt=1.0)
    """Evaluate and save an exponential moving average of the weights: what it keeps of itself a
    step. Default: the weights themselves."""

    @pydantic.model_validator(mode="after")
    def _schedule_has_its_numbers(self) -> Self:
        if self.schedule != "polynomial" and self.schedule_power != 0.5:
            raise ValueError(
                "schedule_power is for schedule=polynomial. Received: "
                f"schedule_power={self.schedule_power}, schedule={self.schedule}. "
                "Set schedule=polynomial, or leave schedule_power out."
            )
        if (self.schedule == "constant") != (self.constant_share > 0.0):
            raise ValueError(
                "schedule=constant and a constant_share above 0 need each other. Received: "
                f"schedule={self.schedule}, constant_share={self.constant_share}. "
                "Set both, or leave both out."
            )
        if self.warmup_share + self.constant_share > 1.0 + 1e-9:
            raise ValueError(
                "warmup_share + constant_share must be at most 1. Received: "
                f"{self.warmup_share} + {self.constant_share}. Lower one of them."
            )
        return self


class TrainingConfig(Section):
    """What every training run shares."""

    batch_size: pydantic.PositiveInt = 32
    """Examples a step over all replicas and accumulated micro-batches."""
    accumulation_steps: pydantic.PositiveInt = 1
    optimizer: OptimizerConfig = OptimizerConfig()
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Matrix products' type; auto takes bfloat16 where the hardware has it. float16 scales the loss
    by what its gradients bear."""
    max_skipped_steps: pydantic.PositiveInt = 10
    """A step without a finite loss and gradient changes nothing; this many in a row end the run."""
    rematerialize: bool = False
    """Recompute each Transformer layer in the backward pass: less memory, same numbers, about 30%
    more time."""
    num_logical_devices: pydantic.PositiveInt | None = None
    """Splits the CPU into this many replicas. Default: all visible GPUs, or one CPU."""
    log_every_steps: pydantic.PositiveInt = 20
    evaluate_every_steps: pydantic.PositiveInt | None = None
    """Default: at the end only."""
    checkpoint_every_steps: pydantic.PositiveInt = 500
    keep_checkpoints: pydantic.PositiveInt = 3
    """The newest; the next two settings keep more."""
    keep_every_steps: pydantic.PositiveInt | None = None
    """Checkpoints of steps that this divides stay for good."""
    keep_best: str | None = None
    """A metric of the evaluation, such as masked_lm_loss or classification_accuracy. Every
    evaluation has a checkpoint then, and the best stays, which `checkpoints/best.json` names: of a
    loss or a perplexity the lowest, of others the highest."""

    @pydantic.model_validator(mode="after")
    def _batch_divides(self) -> Self:
        parts = self.accumulation_steps * (self.num_logical_devices or 1)
        if self.batch_size % parts:
            raise ValueError(
                "batch_size must be a multiple of accumulation_steps x replicas. Received: "
                f"batch_size={self.batch_size}, {parts} parts. Use a multiple of {parts}."
            )
        return self


class PretrainingOptimizerConfig(OptimizerConfig):
    """Devlin et al. 2019, appendix A.2: 10,000 of 1,000,000 steps are warm-up."""

    warmup_share: Rate = 0.01


class PretrainingTrainingConfig(TrainingConfig):
    """Devlin et al. 2019, appendix A.2."""

    batch_size: pydantic.PositiveInt = 256
    optimizer: PretrainingOptimizerConfig = PretrainingOptimizerConfig()
    evaluate_every_steps: pydantic.PositiveInt | None = 5000
    pack_sequences: bool = False
    """Lay the sequences of a batch into as few rows as hold them instead of padding each: the same
    loss and gradients (but for dropout's draws), in less time where texts are short."""


class FinetuningOptimizerConfig(OptimizerConfig):
    """Devlin et al. 2019, appendix A.3."""

    learning_rate: pydantic.PositiveFloat = 5e-5


class FinetuningTrainingConfig(TrainingConfig):
    """Devlin et al. 2019, appendix A.3."""

    optimizer: FinetuningOptimizerConfig = FinetuningOptimizerConfig()


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


def load_config(path: str | Path | None = None, *, overrides: Iterable[str] = ()) -> Config:
    """Configuration from a YAML file and `a.b=value` overrides (values read as YAML).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a key is unknown (the nearest valid one is named) or a value is wrong.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: a configuration file must exist. Received: no such file. "
                "Give --config an existing YAML file."
            )
        tree = _read_yaml(path)
    for override in overrides:
        _apply_override(tree, override)
        if override.startswith("model.size="):
            # Of the numbers that a size stands for, those set after it win.
            for name in MODEL_SIZES["base"]:
                tree["model"].pop(name, None)
    return validate_config(tree, origin=str(path) if path else "configuration")


def validate_config(tree: Mapping[str, Any], *, origin: str = "configuration") -> Config:
    """`tree` as a `Config`. Raises ValueError listing every fault, each with its dotted key."""
    faults = list(_unknown_keys(Config, tree, prefix=""))
    if not faults:
        try:
            return Config.model_validate(tree)
        except pydantic.ValidationError as error:
            faults = [_describe(fault) for fault in error.errors()]
    raise ValueError(f"{origin}: " + "\n".join(faults))


def write_config(config: Config, directory: str | Path) -> Path:
    """Write the resolved tree as `config.yaml` into `directory`, whole or not at all."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return write_whole(Path(directory) / CONFIG_FILE, text)


def required(value: str | None, *, key: str, what: str) -> str:
    """`value`, or a ValueError that says which key a command needs."""
    if value is None:
        raise ValueError(f"{key} must be set. Received: nothing. Set {key} to {what}.")
    return value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: a configuration file must be YAML. Received: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError(
            f"{path}: a configuration file must hold sections, `name:` lines. "
            f"Received: {type(tree).__name__}."
        )
    return tree


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(
            f"--set must be KEY=VALUE, such as model.size=mini. Received: {override!r}."
        )
    *sections, name = key.strip().split(".")
    for section in sections:
        branch = tree.setdefault(section, {})
        if not isinstance(branch, dict):
            raise ValueError(
                f"--set {key}: {section} is a value, not a section. Received: {branch!r}."
            )
        tree = branch
    try:
        tree[name] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {key}: the value must be YAML. Received: {text!r}.") from error


def _unknown_keys(
    section: type[pydantic.BaseModel], tree: Mapping[str, Any], *, prefix: str
) -> Iterable[str]:
    for key, value in tree.items():
        field = section.model_fields.get(str(key))
        if field is None:
            near = difflib.get_close_matches(str(key), section.model_fields, n=1, cutoff=0.4)
            hint = (
                f"Did you mean {prefix}{near[0]}?"
                if near
                else "Valid: " + ", ".join(section.model_fields)
            )
            yield f"{prefix}{key} is not a setting. {hint}"
        elif isinstance(value, Mapping) and _is_section(field.annotation):
            yield from _unknown_keys(field.annotation, value, prefix=f"{prefix}{key}.")


def _is_section(annotation: Any) -> TypeGuard[type[pydantic.BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _describe(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message}. Received: {fault['input']!r}."
