"""Types for the answers of an export's signatures. Nothing here imports TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from serving.errors import InvalidArgumentError


@dataclasses.dataclass(frozen=True)
class Classification:
    """Of one text, or of a pair."""

    label: str
    score: float
    """The label's probability."""
    probabilities: Mapping[str, float]
    """Of every label."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """Of a row of `serving_default` of a classifier."""
        return cls(
            label=outputs["label"],
            score=outputs["score"],
            probabilities=dict(zip(outputs["labels"], outputs["probabilities"], strict=True)),
        )


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Of one text, or of a pair, of which any number of labels may hold."""

    labels: tuple[str, ...]
    """Those that hold."""
    probabilities: Mapping[str, float]
    """Of every label."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """Of a row of `serving_default` of a `multi_label` model."""
        held = zip(outputs["labels"], outputs["predicted"], strict=True)
        return cls(
            labels=tuple(name for name, holds in held if holds),
            probabilities=dict(zip(outputs["labels"], outputs["probabilities"], strict=True)),
        )


@dataclasses.dataclass(frozen=True)
class Entity:
    """A labelled part of a text."""

    text: str
    start: int
    """Code points of the text that was sent, as Python counts them."""
    end: int
    """Behind the last one."""
    label: str
    score: float
    """The mean probability of its words' or pieces' labels."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> list[Self]:
        """Of a row of `serving_default` of a `token_labels` model, in the order of the text."""
        columns = (outputs[f"entity_{field.name}s"] for field in dataclasses.fields(cls))
        rows = zip(*columns, strict=True)
        return [cls(*row) for row, _ in zip(rows, range(outputs["num_entities"]), strict=False)]


@dataclasses.dataclass(frozen=True)
class Answer:
    """The part of a context that answers a question."""

    text: str
    start: int
    """Code points of the context that was sent, as Python counts them."""
    end: int
    """Behind the last one."""
    score: float
    """Its probability."""


@dataclasses.dataclass(frozen=True)
class QuestionAnswer:
    """Of one question and its context."""

    answer: Answer | None
    """None where the context does not answer the question."""
    score: float
    """The probability of the answer, or that there is none."""
    best: tuple[Answer, ...]
    """The best answers, also where none of them is given."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """Of a row of `serving_default` of a `question_answering` model."""
        names = ("answers", "starts", "ends", "scores")
        rows = zip(*(outputs[f"n_best_{name}"] for name in names), strict=True)
        best = tuple(it for it in (Answer(*row) for row in rows) if it.start < it.end)
        answer = Answer(*(outputs[name] for name in ("answer", "start", "end", "score")))
        has_answer = answer.start < answer.end
        return cls(answer if has_answer else None, outputs["score"], best)


@dataclasses.dataclass(frozen=True)
class Choice:
    """The choice that was made among those of a text."""

    number: int
    """From 0, in the order in which they were sent."""
    text: str
    score: float
    """Its probability."""
    probabilities: tuple[float, ...]
    """Of every choice, in the order in which they were sent."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """Of a row of `serving_default` of a `multiple_choice` model.

        Raises:
            InvalidArgumentError: the row's `status` says why it has no answer.
        """
        _check_status(outputs)
        return cls(
            number=outputs["choice"],
            text=outputs["choice_text"],
            score=outputs["score"],
            probabilities=tuple(outputs["probabilities"][: outputs["num_choices"]]),
        )


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A text that a model may write."""

    text: str
    score: float
    """By which candidates are ordered: the log-probability, divided by the length penalty."""
    log_probability: float
    """The sum over its tokens."""


@dataclasses.dataclass(frozen=True)
class GeneratedText:
    """What is written from a text."""

    text: str
    score: float
    """See `Candidate`."""
    has_ended: bool
    """False where it was cut at the longest length."""
    best: tuple[Candidate, ...]
    """The best texts, this one first; of a sampling model as they were drawn."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """Of a row of `serving_default` of a `sequence_to_sequence` model.

        Raises:
            InvalidArgumentError: the row's `status` says why it has no answer.
        """
        _check_status(outputs)
        columns = (outputs[f"n_best_{name}"] for name in ("texts", "scores", "log_probabilities"))
        best = [Candidate(*row) for row in zip(*columns, strict=True)]
        return cls(
            text=outputs["generated_text"],
            score=outputs["score"],
            has_ended=outputs["has_ended"],
            best=tuple(best[: outputs["num_answers"]]),
        )


@dataclasses.dataclass(frozen=True)
class MaskFilling:
    """What may stand for the first [MASK] of a text."""

    token: str
    score: float
    """Its probability."""

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> list[Self]:
        """Of a row of `fill_mask`, the likeliest first.

        Raises:
            InvalidArgumentError: the row's `status` says why it has no answer.
        """
        _check_status(outputs)
        pairs = zip(outputs["tokens"], outputs["scores"], strict=True)
        return [cls(token, score) for token, score in pairs]


def _check_status(outputs: Mapping[str, Any]) -> None:
    status = outputs.get("status", "OK")
    if status != "OK":
        raise InvalidArgumentError(status)
