"""The base class `Task`: what a task provides to the rest of the package, and what it is given.

    table -> read -> examples -> learn -> description -> encode -> batches -> model, objective
    model's outputs -> decode -> answers -> outcomes -> metrics, report, gate

`decode` is the one place where outputs become answers: evaluation calls it, and the served graph
is made of it. To write a task, start from `texts.TextTask` (one text or a pair) and from the task
nearest to yours; `docs/tasks.md` walks through one.
"""

import abc
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from bert_tf.config import FinetuningConfig, ModelConfig, Section
from bert_tf.config.keys import unknown_keys
from bert_tf.data.inspection.text_profile import Moved, compare_counts
from bert_tf.data.tables.table import Table
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.resampling import bootstrap
from bert_tf.models.description import ModelDescription
from bert_tf.system.lookalikes import alike_hint
from bert_tf.tasks.examples import Examples, TextFields, read_inputs
from bert_tf.tasks.row_settings import RowSetting

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from bert_tf.data.batches.labelled import ExampleBatches
    from bert_tf.data.text.tokenizer import Tokenizer
    from bert_tf.models.objective import Objective

Answers = Mapping[str, np.ndarray]
"""What a model says of some examples: names to arrays (examples, ...), as it is served."""


@dataclass(frozen=True)
class Signature:
    """A function of the SavedModel: what it takes, and what it gives of the answers."""

    takes: Literal["texts", "examples", "token_ids"] = "texts"
    """Strings; serialised `tf.Example`s with the strings as features; token ids."""
    gives: Callable[[dict[str, Any]], dict[str, Any]] = lambda answers: answers
    """Answers of `decode` to what it gives, tensors (batch, ...)."""
    method: Literal["predict", "classify", "regress"] = "predict"
    """Of TensorFlow Serving."""
    per_token: tuple[str, ...] = ()
    """What it gives for each token, (batch, length, ...): zero at padding, or an empty string."""
    prefix: str = ""
    """Put before each first text."""
    settings: Literal["none", "taken", "told"] = "none"
    """Of `Task.row_settings`. `taken`: a number a row beside the texts. `told`: it gives those that
    the model has, and no answers."""


@dataclass(frozen=True)
class ForeignHead:
    """How Hugging Face's configuration tells a task's model from others with the same class."""

    architecture: str
    """Such as `BertForSequenceClassification`."""
    problem_type: str | None


@dataclass(frozen=True)
class Report:
    """What a task tells of its outcomes beside the metrics that it has at every evaluation."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """Names of what was written into the folder."""


class Task(abc.ABC):
    """One kind of fine-tuning, with its settings.

    Answers and outcomes are arrays whose first dimension is the examples. A model's description has
    what the task learnt from its training data (`class_names`, `task_state`); every method that
    needs it is given it.
    """

    name: str
    """In the configuration and in `model.json`. Set where the task is found."""
    Settings: ClassVar[type[Section]]
    """What may stand in `finetuning.task` beside the name."""
    metrics: tuple[Metric, ...]
    """Of the class, to which settings may add. The first is what the gate judges by unless it is
    told another."""
    slice_metric: ClassVar[Metric]
    """What slices are judged by: it must say something of few examples and of one class alone."""
    answer_names: ClassVar[tuple[str, ...]]
    """What `decode` gives at least: by these outputs a model of the task is known."""
    constant_answers: ClassVar[tuple[str, ...]] = ()
    """Answers that are the same for every example, such as the names of all classes."""
    rounded_answers: ClassVar[tuple[str, ...]] = ()
    """Answers whose whole numbers and widths are decided by numbers that bfloat16 and int8 round,
    such as where a name begins: `disagreement` alone compares them then."""
    has_class_names: ClassVar[bool] = True
    """Whether a description's `class_names` are its outputs."""
    reads_offsets: ClassVar[bool] = False
    """Whether its model is given where tokens stand in the text (`models.classifier.OFFSETS`)."""
    default_fields: ClassVar[Mapping[str, str]] = {}
    """Columns of `finetuning` where they are not set, such as `text_field`."""
    needs_pair_field: ClassVar[bool] = True
    """Whether `finetuning.text_pair_field` names the second text, or else the task's settings."""
    default_max_windows: ClassVar[int] = 1
    """Where `finetuning.max_windows` is not set."""
    is_always_windowed: ClassVar[bool] = False
    """Whether its model is given windows of texts even if each has one."""
    head_layout: str | None = None
    """The kind in `models.folder.HEADED` whose weights' names the task's model has, or `encoder` of
    one without a head; such a model can be converted. None: the task's model is all its own."""
    foreign_head: ClassVar[ForeignHead | None] = None

    def __init__(self, settings: Section | None = None, *, name: str | None = None) -> None:
        self.settings: Any = self.Settings() if settings is None else settings
        if name is not None:
            self.name = name

    @property
    def max_choices(self) -> int | None:
        """The most lines of the second text, where each is a choice (see `choice_lines`)."""
        return None

    @classmethod
    def with_options(cls, options: Mapping[str, Any], *, name: str) -> Self:
        """The task with settings as they stand in a configuration.

        Raises:
            ValueError: a setting is unknown (the nearest is named) or a value is wrong.
        """
        faults = unknown_keys(cls.Settings, options)
        if not faults:
            try:
                return cls(cls.Settings.model_validate(dict(options)), name=name)
            except ValueError as error:
                faults = [str(error)]
        raise ValueError("\n".join(f"finetuning.task ({name}): {fault}" for fault in faults))

    # --- examples

    @abc.abstractmethod
    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        """The examples in a table; `section` names its columns.

        Raises:
            ValueError: the place of what is wrong.
        """

    def read_held_out(self, table: Table, section: FinetuningConfig) -> Examples:
        """As `read`, of a table to evaluate on, where that may have another form."""
        return self.read(table, section)

    def with_default_fields(self, section: FinetuningConfig) -> FinetuningConfig:
        """The section with the task's own columns where it names none."""
        missing = self.default_fields.keys() - section.model_fields_set
        return section.model_copy(update={name: self.default_fields[name] for name in missing})

    def read_inputs(
        self, table: Table, description: ModelDescription, *, fields: TextFields
    ) -> Mapping[str, Sequence[str]]:
        """What a model is asked about a table's rows, under `input_names`; needs no targets.

        Raises:
            ValueError: the place of what is wrong.
        """
        return read_inputs(table, self.input_names(description), fields)

    def read_for(
        self, description: ModelDescription, table: Table, section: FinetuningConfig
    ) -> Examples:
        """The examples to evaluate on in a table, for a model that is there.

        Raises:
            ValueError: as of `read_held_out`, or there are pairs for a model of single texts, or
                reverse.
        """
        examples = self.read_held_out(table, section)
        wanted = self.input_names(description)
        if tuple(examples.inputs) != wanted:
            raise ValueError(
                "finetuning.text_pair_field must be set exactly for a model of pairs. Received: "
                f"{section.text_pair_field!r}, which gives {', '.join(examples.inputs)}, and a "
                f"model that takes {', '.join(wanted)}."
            )
        return examples

    def asked(self, examples: Examples) -> Mapping[str, Sequence[str]]:
        """What a model is asked about examples, under `input_names`: by default a row for each."""
        return examples.inputs

    def parts_of_rows(self, examples: Examples) -> list[list[list[str]]]:
        """Of each part of a row, of each example the texts that stand there, in a row of their own
        each: a text alone, the choices of one. Lengths are those of the longest."""
        return [[[text] for text in texts] for texts in examples.inputs.values()]

    def strata(self, examples: Examples) -> Sequence[Sequence[Any]] | None:
        """Of each example what a split must leave some of for training, such as its class."""
        return None

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """How often each target, or each bin of them, is there: printed, and kept for drift."""
        return dict(sorted(Counter(str(target) for target in examples.targets).items()))

    def target_numbers(self, examples: Examples) -> np.ndarray | None:
        """Targets, float64 (examples,), where they are numbers, on a scale; None where not."""
        if all(isinstance(target, float) for target in examples.targets):
            return np.asarray(examples.targets, np.float64)
        return None

    def compare_targets(self, before: Mapping[str, int], now: Mapping[str, int]) -> Moved:
        """How far `target_counts` moved: total variation of the shares, and a chi-square test."""
        return compare_counts(before, now)

    def is_windowed(self, description: ModelDescription) -> bool:
        """Whether texts are read in windows, (batch, windows, length): see `data.text.windows`."""
        return self.is_always_windowed or description.max_windows > 1

    # --- the model

    def inherited(self, stored: ModelDescription | None) -> dict[str, Any]:
        """What a description has of that of the model which the training starts from, or of none.

        Beside the architecture, such as `pooling`.
        """
        return {}

    @abc.abstractmethod
    def learn(self, train: Examples) -> dict[str, Any]:
        """What the model's description holds of the training data: `class_names`, `task_state`.

        Raises:
            ValueError: nothing can be learnt from it, such as a single class.
        """

    def state(self, **learnt: Any) -> dict[str, Any]:
        """The `task_state` of a description: settings other than the defaults, and `learnt`."""
        settings = self.settings.model_dump(mode="json", exclude_defaults=True)
        return ({"settings": settings} if settings else {}) | learnt

    @abc.abstractmethod
    def check(self, examples: Examples, description: ModelDescription) -> None:
        """Raise ValueError, with the place, of a target that the model does not have."""

    @abc.abstractmethod
    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> Any:
        """Examples as numbers, as `batches` takes them."""

    def learn_prepared(self, directory: Path) -> dict[str, Any]:
        """As `learn`, of training examples that `bert-tf prepare` wrote.

        Raises:
            ValueError: they are not the task's, or it learns from tables alone, as most do.
        """
        raise ValueError(
            f"{directory}: finetuning.train_path must be a table of labelled examples for the task "
            f"{self.name}. Received: records of `bert-tf prepare`. Name the texts."
        )

    def encode_prepared(
        self, directory: Path, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> Any:
        """As `encode`, of examples that `learn_prepared` took.

        Raises:
            ValueError: they were made for another tokenizer, or a file is damaged.
        """
        raise NotImplementedError(f"{self.name} learns from tables alone.")

    def batches(
        self,
        encoded: Any,
        *,
        batch_size: int,
        group_by_length: bool = False,
        num_parts: int = 1,
    ) -> "ExampleBatches":
        """How encoded examples, by default `labelled.Encoded`, become batches.

        `num_parts`: replicas times micro-batches, which share a batch.
        """
        from bert_tf.data.batches.labelled import LabelledBatches

        return LabelledBatches(encoded, batch_size, group_by_length)

    def architecture(self, wanted: ModelConfig, stored: ModelConfig) -> ModelConfig:
        """Of a model that starts from a stored one.

        Raises:
            ValueError: `wanted` sets what cannot be.
        """
        from bert_tf.models.bert import with_stored_architecture

        return with_stored_architecture(wanted, stored)

    def load_pretrained(self, model: "keras.Model", directory: str | Path) -> None:
        """Set the weights that the training starts from; others stay random.

        Raises:
            ValueError: lists all tensors that do not fit; nothing is set then.
        """
        from bert_tf.models.folder import load_encoder

        load_encoder(model, directory)

    @abc.abstractmethod
    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        """The model with random weights, all of them created: a `models.bert.ModelWithEncoder`."""

    @abc.abstractmethod
    def objective(self, description: ModelDescription) -> "Objective":
        """What is minimised."""

    def num_outputs(self, description: ModelDescription) -> int:
        """Numbers that the head gives for an example, or for a token: a score a class or label."""
        return len(description.class_names)

    @abc.abstractmethod
    def head_flops(self, description: ModelDescription) -> float:
        """Floating-point operations of the head's products, of one example, forward."""

    # --- answers

    def predict(
        self,
        model: "keras.Model",
        inputs: Mapping[str, "tf.Tensor"],
        description: ModelDescription,
        *,
        tokenizer: "Tokenizer",
    ) -> Any:
        """What `decode` reads, (batch, ...), numbers alone: by default the model's outputs."""
        return model(inputs, training=False)

    @abc.abstractmethod
    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, "tf.Tensor"]:
        """What is predicted as answers, (batch, ...): in evaluation and in the served graph."""

    def written(
        self, answers: dict[str, "tf.Tensor"], *, tokenizer: "Tokenizer"
    ) -> dict[str, "tf.Tensor"]:
        """Answers of `decode`, with texts in the place of token ids where a task writes some."""
        return answers

    def about_texts(
        self, answers: dict[str, Any], texts: Mapping[str, "tf.Tensor"]
    ) -> dict[str, Any]:
        """Answers with what they say of the texts themselves, string (batch), in the served graph.

        `texts`: by the names that the signatures take, as they were sent.
        """
        return answers

    @abc.abstractmethod
    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        """Targets beside predictions; `answers` are to examples, or to the rows of `asked`.

        Raises:
            ValueError: the answers are not of this task's, or a target is none of the model's.
        """

    def aligned(self, outcomes: Outcomes, other: Outcomes) -> Outcomes:
        """`outcomes` of another model, its classes in the order of `other`.

        Raises:
            ValueError: they have other classes.
        """
        return outcomes

    def tune(self, outcomes: Outcomes, description: ModelDescription) -> ModelDescription:
        """The description with what is chosen on held-out outcomes, such as thresholds."""
        return description

    # --- how good they are

    def metric(self, name: str | None = None) -> Metric:
        """The metric called so; without a name the first. Raises ValueError if there is none."""
        found = [metric for metric in self.metrics if name in (None, metric.name)]
        if not found:
            names = [metric.name for metric in self.metrics]
            raise ValueError(
                f"A metric of {self.name} must be one of {', '.join(names)}. Received: {name!r}. "
                f"Name one of these.{alike_hint(name, names)}"
            )
        return found[0]

    def measure(self, outcomes: Outcomes) -> dict[str, float]:
        """All metrics that are defined, under their keys in `metrics.json`."""
        values = {metric.key: float(metric.score(outcomes, None)) for metric in self.metrics}
        return {key: value for key, value in values.items() if not math.isnan(value)}

    def intervals(self, outcomes: Outcomes) -> dict[str, float]:
        """95 % bootstrap intervals, `KEY_low` and `KEY_high`, of the metrics that have some."""
        found: dict[str, float] = {}
        for metric in self.metrics:
            if metric.has_interval:
                interval = bootstrap(metric, outcomes)
                found |= {f"{metric.key}_low": interval.low, f"{metric.key}_high": interval.high}
        return {key: value for key, value in found.items() if not math.isnan(value)}

    def calibration_error(self, outcomes: Outcomes) -> float | None:
        """Expected calibration error; None of a task without probabilities."""
        return None

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        """Slices by what is right: names to rows, (examples,) bool or indices.

        Indices are for slices that may be many, such as one a class.
        """
        return {}

    @abc.abstractmethod
    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """Write a picture and a table into `directory`."""

    # --- served

    @abc.abstractmethod
    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        """Texts that the signatures take, the first one first: `text`, or `text` and `text_pair`.

        `Examples.inputs` has the same names. At most two.
        """

    @abc.abstractmethod
    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        """The SavedModel's functions; `serving_default` among them."""

    def row_settings(self, description: ModelDescription) -> Mapping[str, RowSetting]:
        """What a request may set for each text; not of texts in windows. By default nothing.

        `predict` finds those of signatures that take them among its inputs, (batch).
        """
        return {}

    def setting_faults(
        self, settings: Mapping[str, "tf.Tensor"]
    ) -> list[tuple["tf.Tensor", "tf.Tensor"]]:
        """What is wrong with the settings of texts: whether, bool (batch), and a sentence, string
        (batch). Such a text is refused; `predict` may leave it out."""
        return []

    def in_windows(self, texts: Sequence["tf.Tensor"], inputs: Any) -> Any:
        """Texts as windows (`exporting.texts.TextWindows`), in the served graph.

        `texts`: string (batch), in the order of `input_names`; `inputs`: the `TextInputs`.
        """
        return inputs.windows(*texts, with_offsets=self.reads_offsets)

    def warmup_texts(self) -> Sequence[tuple[bytes, ...]]:
        """Rows of texts for warm-up requests in the place of the package's; none: those."""
        return ()

    def texts_of_parts(self, parts: Sequence[Any]) -> tuple[Any, ...]:
        """A row of texts, of what stands between the tabs of a line: str or bytes, all alike."""
        return tuple(parts)

    def is_answer(self, outputs: Mapping[str, Any]) -> bool:
        """Whether outputs of a signature are whole answers, which `disagreement` can compare."""
        return set(self.answer_names) <= set(outputs)

    @abc.abstractmethod
    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        """How two answers to one example differ by more than rounding; None where they do not."""

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        """What a model's card says of it, such as its classes."""
        return ()
