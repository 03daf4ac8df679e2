"""Question answering: which part of a context answers a question, if any does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pydantic
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.data.answer_spans.reading import read_questions
from bert_tf.data.tables.table import Table
from bert_tf.data.text.sentences import replace_invalid_utf8
from bert_tf.metrics import answers as scores
from bert_tf.metrics.answer_slices import length_slices, question_slices, slice_rows
from bert_tf.metrics.answer_thresholds import curve_of
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_label_bars, draw_threshold_curve
from bert_tf.metrics.tables import markdown_table
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Batch, Objective, Sums
from bert_tf.system.files import write_whole
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.answer_spans import (
    IMPOSSIBLE,
    N_BEST,
    NOTHING_ELSE,
    answered,
    best_answers,
    log_probabilities,
    ranked,
)
from bert_tf.tasks.base import Answers, ForeignHead, Report, Signature, Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.text_parts import parts_of_texts
from bert_tf.tasks.texts import limits_of

if TYPE_CHECKING:
    import keras

    from bert_tf.data.batches.labelled import Encoded
    from bert_tf.data.text.tokenizer import Tokenizer

QUESTION, CONTEXT = "question", "context"
THRESHOLD = "no_answer_threshold"
"""In the task's state: of the margin from which no answer is given."""
PICTURE_FILE, CURVE_FILE, TABLE_FILE = "answers.png", "thresholds.png", "answers.md"


class QuestionAnsweringSettings(Section):
    """Beside `finetuning.task.name`."""

    answers_field: str = "answers"
    """The column of the true answers: `text` and `answer_start` of each, in characters (code
    points) of the context; none where the context does not answer."""
    faults: Literal["error", "repair", "skip"] = "error"
    """What becomes of a question whose answers do not stand where they are said to: the run ends;
    they are looked for nearby; or the question is left out. The last two are counted."""
    max_answer_tokens: int = pydantic.Field(default=30, ge=1, le=512)
    """Longer answers are not given (Devlin et al. 2019: 30)."""
    n_best: int = pydantic.Field(default=5, ge=1, le=100)
    """Answers that a question is given, the best first."""
    no_answer: Literal["tuned", "never"] | float = "tuned"
    """From which margin on a question has no answer: `tuned` on the held-out questions, if some of
    the training data's have none; a number; `never`."""


class QuestionAnswering(Task):
    """Answers to questions: parts of a context that goes with each.

    The loss is the cross-entropy of the answer's first token and of its last, over all tokens of
    all windows of the context at once, and [CLS] for no answer; of several answers one is enough.

    Source: Devlin et al. 2019, sections 4.2 and 4.3; Clark and Gardner 2018, section 3.3.
    """

    name = "question_answering"
    Settings = QuestionAnsweringSettings
    metrics = (
        scores.F1,
        scores.EXACT_MATCH,
        scores.KORQUAD_F1,
        scores.KORQUAD_EXACT_MATCH,
        scores.KLUE_EXACT_MATCH,
        scores.KLUE_ROUGE_W,
        scores.HAS_ANSWER_F1,
        scores.NO_ANSWER_ACCURACY,
    )
    slice_metric = scores.F1
    answer_names = ("start", "end", "score", "no_answer_margin", *N_BEST)
    rounded_answers = ("start", "end", *N_BEST, "answer", "n_best_answers")
    has_class_names = False
    reads_offsets = True
    default_max_windows = 16
    is_always_windowed = True
    default_fields: ClassVar[Mapping[str, str]] = {
        "text_field": QUESTION,
        "text_pair_field": CONTEXT,
    }
    head_layout = "question_answering"
    foreign_head = ForeignHead("BertForQuestionAnswering", None)

    # --- examples

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        section = self.with_default_fields(section)
        found = read_questions(
            table,
            question_field=section.text_field,
            context_field=str(section.text_pair_field),
            answers_field=self.settings.answers_field,
            faults=self.settings.faults,
        )
        inputs = {QUESTION: found.questions, CONTEXT: found.contexts}
        return Examples(found.table, inputs, found.answers)

    def strata(self, examples: Examples) -> Sequence[Sequence[bool]]:
        return [[bool(answers)] for answers in examples.targets]

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """Questions by the length of their answer."""
        slices = length_slices(
            scores.answer_outcomes(self._texts(examples), predictions=[""] * len(examples))
        )
        return {name: int(rows.sum()) for name, rows in slices.items()}

    def learn(self, train: Examples) -> dict[str, Any]:
        if not any(train.targets):
            raise ValueError(
                f"{train.where(0)}: at least one question must have an answer. Received: none has. "
                "Is finetuning.task.answers_field the right column?"
            )
        setting = self.settings.no_answer
        if setting == "tuned":
            learnt = {} if all(train.targets) else {THRESHOLD: 0.0}
        else:
            learnt = {} if setting == "never" else {THRESHOLD: setting}
        return {"task_state": self.state(**learnt)}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        """Any answer will do: it is a part of its own context."""

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> "Encoded":
        from bert_tf.data.batches.questions import encode_questions

        return encode_questions(
            examples.inputs[QUESTION],
            examples.inputs[CONTEXT],
            examples.targets,
            tokenizer=tokenizer,
            limits=limits_of(description),
        )

    # --- the model

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.classifier import BertQuestionAnswerer

        return BertQuestionAnswerer.from_description(
            description,
            num_classes=self.num_outputs(description),
            dtype=dtype,
            rematerialize=rematerialize,
        )

    def objective(self, description: ModelDescription) -> Objective:
        return AnswerObjective()

    def num_outputs(self, description: ModelDescription) -> int:
        """Of a token as first and as last of the answer."""
        return 2

    def head_flops(self, description: ModelDescription) -> float:
        """The dense layer at every position of a row."""
        width = description.architecture.hidden_size
        return 2.0 * width * self.num_outputs(description) * description.max_seq_length

    # --- answers

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """The answer to each question and the best ones, places in the context.

        `start`, `end` int32 and `score` float32 (batch): 0 and 0 where there is no answer, whose
        probability the score is then; and what `best_answers` gives.
        """
        found = best_answers(
            outputs,
            num_best=self.settings.n_best,
            max_answer_tokens=self.settings.max_answer_tokens,
        )
        margin = found["no_answer_margin"]
        has_answer = margin <= description.task_state.get(THRESHOLD, NOTHING_ELSE / 2)
        no_answer = found.pop("no_answer_score")
        return {
            "start": tf.where(has_answer, found["n_best_starts"][:, 0], 0),
            "end": tf.where(has_answer, found["n_best_ends"][:, 0], 0),
            "score": tf.where(has_answer, found["n_best_scores"][:, 0], no_answer),
            **found,
        }

    def about_texts(
        self, answers: dict[str, tf.Tensor], texts: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """`answer`, string (batch), an empty one where there is none, and `n_best_answers`."""
        context = replace_invalid_utf8(texts[CONTEXT])
        places = answers["start"][:, tf.newaxis], answers["end"][:, tf.newaxis]
        return {
            **answers,
            "answer": parts_of_texts(context, *places)[:, 0],
            "n_best_answers": parts_of_texts(
                context, answers["n_best_starts"], answers["n_best_ends"]
            ),
        }

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if not set(self.answer_names) <= answers.keys():
            raise ValueError(
                f"A model of the task `{self.name}` must answer with places in the context. "
                f"Received: {', '.join(sorted(answers))}. Give a model of that task."
            )
        contexts = examples.inputs[CONTEXT]

        def texts(starts: np.ndarray, ends: np.ndarray) -> list[str]:
            rows = zip(contexts, starts.tolist(), ends.tolist(), strict=True)
            return [context[start:end] for context, start, end in rows]

        return scores.answer_outcomes(
            self._texts(examples),
            predictions=texts(answers["start"], answers["end"]),
            scores=answers["no_answer_margin"],
            questions=examples.inputs[QUESTION],
            candidates=texts(answers["n_best_starts"][:, 0], answers["n_best_ends"][:, 0]),
        )

    def tune(self, outcomes: Outcomes, description: ModelDescription) -> ModelDescription:
        """With the threshold of the greatest F1, where some questions have no answer."""
        if self.settings.no_answer != "tuned" or THRESHOLD not in description.task_state:
            return description
        if all(outcomes.targets):
            return description
        threshold = curve_of(outcomes).best
        state = description.task_state | {THRESHOLD: threshold}
        return description.model_copy(update={"task_state": state})

    # --- how good they are

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        return length_slices(outcomes)

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """Metrics by length of the answer and by what is asked, as a table and as a picture."""
        slices = [length_slices(outcomes), question_slices(outcomes)]
        rows = [slice_rows(outcomes, it) for it in slices if it]
        write_whole(directory / TABLE_FILE, "\n\n".join(map(markdown_table, rows)) + "\n")
        f1 = scores.F1.score(outcomes, None)
        title = f"F1 {f1:.3f} on {len(outcomes):,} questions"
        are_drawn = {
            PICTURE_FILE: try_to_draw(
                draw_label_bars, rows[0], directory / PICTURE_FILE, title=title, counted="questions"
            )
        }
        if not all(outcomes.targets):
            curve = curve_of(outcomes)
            are_drawn[CURVE_FILE] = try_to_draw(
                draw_threshold_curve,
                curve,
                directory / CURVE_FILE,
                threshold=curve.best,
                title=title,
                label=scores.F1.title,
            )
        return Report(
            files=(*(name for name, is_there in are_drawn.items() if is_there), TABLE_FILE)
        )

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (QUESTION, CONTEXT)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        return {"serving_default": Signature(), "token_ids": Signature("token_ids")}

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        wanted, given = answered(expected), answered(received)
        if wanted[:2] == given[:2] and abs(wanted.score - given.score) <= tolerance:
            return None
        # Two answers that are as good, of which rounding chose another.
        others = ranked(expected) | {(0, 0): wanted.score if not wanted.end else 0.0}
        rivals = ranked(received) | {(0, 0): given.score if not given.end else 0.0}
        is_tied = (
            abs(others.get(given[:2], -1.0) - wanted.score) <= tolerance
            and abs(rivals.get(wanted[:2], -1.0) - given.score) <= tolerance
        )
        return None if is_tied else f"{wanted} is answered with {given}"

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        threshold = description.task_state.get(THRESHOLD)
        told = (
            "Every question is answered."
            if threshold is None
            else f"No answer is given where its log-probability is more than {threshold:.3g} above "
            "that of the best answer."
        )
        return [told, f"Answers are at most {self.settings.max_answer_tokens} tokens long."]

    def _texts(self, examples: Examples) -> list[list[str]]:
        """Of each question the texts of its answers."""
        rows = zip(examples.inputs[CONTEXT], examples.targets, strict=True)
        return [[context[start:end] for start, end in answers] for context, answers in rows]


class AnswerObjective:
    """Cross-entropy of the first and of the last token of the answer, their mean.

    Of several answers the probabilities, of first times last, are added up: one of them is enough,
    and the first of one with the last of another is wrong.
    """

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"answers": tf.reduce_sum(self._weights(batch))}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        weights, is_answer = self._weights(batch), self._is_answer(batch)
        starts, ends = log_probabilities(outputs)
        firsts, lasts = (tf.maximum(batch[name], 0) for name in ("first_columns", "last_columns"))
        of_answers = tf.gather(starts, firsts, batch_dims=1) + tf.gather(ends, lasts, batch_dims=1)
        loss = -tf.reduce_logsumexp(tf.where(is_answer, of_answers, IMPOSSIBLE), axis=1) / 2
        best = [tf.argmax(it, axis=1, output_type=tf.int32)[:, tf.newaxis] for it in (starts, ends)]
        is_right = tf.reduce_any(is_answer & (firsts == best[0]) & (lasts == best[1]), axis=1)
        return Sums(
            loss={"answers": tf.reduce_sum(tf.where(weights > 0, loss * weights, 0.0))},
            correct={"answers": tf.reduce_sum(tf.cast(is_right, tf.float32) * weights)},
        )

    def _weights(self, batch: Batch) -> tf.Tensor:
        """float32 (batch): 0 of questions whose answers lie behind the last window."""
        has_answer = tf.reduce_any(self._is_answer(batch), axis=1)
        return tf.cast(has_answer, tf.float32) * batch["weights"]

    def _is_answer(self, batch: Batch) -> tf.Tensor:
        """bool (batch, answers)."""
        return batch["first_columns"] >= 0
