"""Multiple choice: which of a text's own choices is right, as in SWAG, RACE and COPA."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pydantic
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.config.section import ColumnName
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import texts_of
from bert_tf.metrics import choices as scores
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_label_bars
from bert_tf.metrics.tables import markdown_table
from bert_tf.models.description import ModelDescription
from bert_tf.models.flops import classifier_flops
from bert_tf.models.objective import Objective
from bert_tf.system.files import write_whole
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Answers, ForeignHead, Report, Signature, Task
from bert_tf.tasks.choice_lines import LEAST_CHOICES, MAX_CHOICES, join_choices, split_choices
from bert_tf.tasks.choice_rows import (
    CHOICES_KEY,
    TEXT_KEY,
    ChoiceColumns,
    LabelKind,
    choices_of,
    read_choice_rows,
)
from bert_tf.tasks.choice_scores import (
    WARMUP_TEXTS,
    MultipleChoiceObjective,
    answers_of_scores,
    texts_of_answers,
)
from bert_tf.tasks.examples import TEXT, Examples, TextFields
from bert_tf.tasks.texts import limits_of

if TYPE_CHECKING:
    import keras

    from bert_tf.data.batches.labelled import Encoded
    from bert_tf.data.text.tokenizer import Tokenizer

CHOICES = "choices"
PICTURE_FILE, TABLE_FILE = "choices.png", "choices.md"


class MultipleChoiceSettings(Section):
    """Beside `finetuning.task.name`."""

    choices_field: ColumnName = "choices"
    """The column of the choices: a list, JSON as text, or a choice a line. Choices are 2 or more a
    row, each another; any number a row."""
    choice_fields: tuple[ColumnName, ...] = ()
    """In its place a column for each choice, such as `[ending0, ending1, ending2, ending3]`; the
    last ones may be empty."""
    choice_prefix_field: ColumnName | None = None
    """The column of what all choices of a row begin with, such as SWAG's `sent2`."""
    label_is: LabelKind | Literal["auto"] = "auto"
    """What `finetuning.label_field` has: the `number` of the right choice from 0, `number_from_1`,
    its `letter` from A, or its `text`. `auto`: what it looks like, numbers from 0."""
    max_choices: int = pydantic.Field(default=MAX_CHOICES, ge=LEAST_CHOICES)
    """Choices that a text has at most, in training and of a request: each is a row."""
    faults: Literal["error", "skip"] = "error"
    """What becomes of a row with fewer than two choices, two alike, an empty one, or a label that
    is none of them: the run ends, or it is left out and told."""


class MultipleChoice(Task):
    """The right one of a text's own choices, any number of them.

    A choice's score is that of the pair `[CLS] text [SEP] choice [SEP]`; the loss is the
    cross-entropy of the softmax over the choices of a text.

    Source: Devlin et al. 2019, section 4.4; Zellers et al. 2018 (SWAG).
    """

    name = "multiple_choice"
    Settings = MultipleChoiceSettings
    metrics = (scores.ACCURACY, scores.MEAN_RECIPROCAL_RANK)
    slice_metric = scores.ACCURACY
    answer_names = ("choice", "score", "probabilities", "num_choices")
    rounded_answers = ("choice", "choice_text")
    has_class_names = False
    needs_pair_field = False
    is_always_windowed = True
    head_layout = "classification"
    foreign_head = ForeignHead("BertForMultipleChoice", None)

    @property
    def max_choices(self) -> int:
        found: int = self.settings.max_choices
        return found

    # --- examples

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        if section.text_pair_field is not None:
            raise ValueError(
                "finetuning.text_pair_field must be left out: the choices' columns are named by "
                f"{CHOICES_KEY} or choice_fields. Received: {section.text_pair_field!r}."
            )
        found = read_choice_rows(
            table,
            self._columns(),
            label_field=section.label_field,
            label_is=self.settings.label_is,
            faults=self.settings.faults,
        )
        texts = texts_of(found.table, section.text_field, key=TEXT_KEY)
        lines = [join_choices(choices) for choices in found.choices]
        return Examples(found.table, {TEXT: texts, CHOICES: lines}, found.targets)

    def read_inputs(
        self, table: Table, description: ModelDescription, *, fields: TextFields
    ) -> Mapping[str, Sequence[str]]:
        """Without `text_pair_field` the choices are where they were in training."""
        columns = self._columns()
        if fields.text_pair_field is not None:
            columns = ChoiceColumns(
                fields.text_pair_field, max_choices=self.max_choices, key=fields.keys[1]
            )
        texts = texts_of(table, fields.text_field or TEXT, key=fields.keys[0])
        lines = [join_choices(choices) for choices in choices_of(table, columns)]
        return {TEXT: texts, CHOICES: lines}

    def texts_of_parts(self, parts: Sequence[Any]) -> tuple[Any, ...]:
        """A text and its choices, however many."""
        line_break = b"\n" if isinstance(parts[0], bytes) else "\n"
        return (parts[0], line_break.join(parts[1:])) if len(parts) > 1 else tuple(parts)

    def _columns(self) -> ChoiceColumns:
        settings = self.settings
        return ChoiceColumns(
            None if settings.choice_fields else settings.choices_field,
            settings.choice_fields,
            settings.choice_prefix_field,
            settings.max_choices,
        )

    def parts_of_rows(self, examples: Examples) -> list[list[list[str]]]:
        texts, choices = super().parts_of_rows(examples)
        return [texts, [lines.split("\n") for (lines,) in choices]]

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """How often each place is that of the right choice."""
        return {str(place): count for place, count in sorted(Counter(examples.targets).items())}

    def learn(self, train: Examples) -> dict[str, Any]:
        return {"task_state": self.state()}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        """Every example has choices of its own: `read` has looked at them."""

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> "Encoded":
        """`right_choices`, int32 (examples,), beside the texts."""
        from bert_tf.data.batches.labelled_choices import encode_choices

        return encode_choices(
            examples.inputs[TEXT],
            [lines.split("\n") for lines in examples.inputs[CHOICES]],
            targets={"right_choices": np.asarray(examples.targets, np.int32)},
            tokenizer=tokenizer,
            limits=limits_of(description),
        )

    # --- the model

    def num_outputs(self, description: ModelDescription) -> int:
        return 1

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.classifier import BertMultipleChoice

        return BertMultipleChoice.from_description(
            description, num_classes=1, dtype=dtype, rematerialize=rematerialize
        )

    def objective(self, description: ModelDescription) -> Objective:
        return MultipleChoiceObjective()

    def head_flops(self, description: ModelDescription) -> float:
        """Pooler and score of a row, which is a choice."""
        return classifier_flops(description.architecture, num_outputs=1)

    # --- answers

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """See `choice_scores.answers_of_scores`."""
        return answers_of_scores(outputs)

    def about_texts(
        self, answers: dict[str, tf.Tensor], texts: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """`choice_text`, string (batch), and `status`, what is wrong with a row's choices."""
        found = split_choices(texts[CHOICES], max_choices=self.max_choices)
        return {**answers, **texts_of_answers(answers["choice"], found), "status": found.status}

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if not set(self.answer_names) <= answers.keys():
            raise ValueError(
                f"A model of the task `{self.name}` must answer with a choice. Received: "
                f"{', '.join(sorted(answers))}. Give a model of that task."
            )
        wanted = np.array([1 + lines.count("\n") for lines in examples.inputs[CHOICES]])
        differ = np.flatnonzero(wanted != answers["num_choices"])
        if len(differ):
            row = int(differ[0])
            raise ValueError(
                f"{examples.where(row)}: every choice must be read. Received: {wanted[row]}, of "
                f"which the model took {answers['num_choices'][row]}; in all {len(differ)} such "
                "rows. Is finetuning.task.max_choices of the model lower?"
            )
        probabilities = np.asarray(answers["probabilities"], np.float64)
        is_there = np.arange(probabilities.shape[1]) < wanted[:, np.newaxis]
        return Outcomes(
            targets=np.asarray(examples.targets, np.int64),
            predictions=np.asarray(answers["choice"], np.int64),
            scores=np.where(is_there, probabilities, np.nan),
        )

    # --- how good they are

    def calibration_error(self, outcomes: Outcomes) -> float | None:
        return scores.calibration_error(outcomes)

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        """By how many choices there are, and by the place of the right one."""
        numbers = outcomes.derive(scores.numbers_of_choices)
        by_number = {f"{it} choices": numbers == it for it in np.unique(numbers).tolist()}
        places = np.unique(outcomes.targets).tolist()
        return by_number | {f"right choice {it}": outcomes.targets == it for it in places}

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """By the number of choices a picture and a table; by the place of the right one a table."""
        rows = scores.number_rows(outcomes)
        accuracy = scores.ACCURACY.score(outcomes, None)
        is_drawn = try_to_draw(
            draw_label_bars,
            rows,
            directory / PICTURE_FILE,
            title=f"accuracy {accuracy:.3f} on {len(outcomes):,} texts",
            counted="texts",
            rated=("accuracy", "accuracy"),
        )
        tables = [markdown_table(rows), markdown_table(scores.place_rows(outcomes))]
        write_whole(directory / TABLE_FILE, "\n\n".join(tables) + "\n")
        return Report(files=(*([PICTURE_FILE] if is_drawn else []), TABLE_FILE))

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (TEXT, CHOICES)

    def in_windows(self, texts: Sequence[tf.Tensor], inputs: Any) -> Any:
        """Each window with a choice behind it."""
        return inputs.choices(*texts, max_choices=self.max_choices)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        return {"serving_default": Signature()}

    def warmup_texts(self) -> Sequence[tuple[bytes, ...]]:
        return WARMUP_TEXTS

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        difference = abs(received["score"] - expected["score"])
        if received["choice"] == expected["choice"] and difference <= tolerance:
            return None
        return (
            f"choice {expected['choice']} ({expected['score']:.4f}) is answered with "
            f"{received['choice']} ({received['score']:.4f})"
        )

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        return [
            f"Chooses among the {LEAST_CHOICES} to {self.max_choices} choices that come with a "
            "text."
        ]
