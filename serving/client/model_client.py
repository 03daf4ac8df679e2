"""The base class of both clients: texts in, one prediction a text out; waiting for a model."""

from __future__ import annotations

import abc
import collections
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Required, Self, TypedDict, TypeVar

from serving import errors
from serving.client.answers import (
    Choice,
    Classification,
    Entity,
    GeneratedText,
    LabelSet,
    MaskFilling,
    QuestionAnswer,
)
from serving.client.sampling import Numbers, sampled_texts

PAIR_NAMES = ("text", "text_pair")
"""What most signatures call a text and its second."""
_LINES = re.compile(r"[\r\n]+")
_POLL_SECONDS = 0.2
_FIRST_BACKOFF_SECONDS = 0.1
_Answer = TypeVar("_Answer")


class Options(TypedDict, total=False):
    """What every client takes; the defaults stand in `ModelClient`."""

    model_name: Required[str]
    version: int | None
    label: str | None
    timeout_seconds: float
    num_retries: int


class ModelClient(abc.ABC):
    """Asks one model of a TensorFlow Serving server, or of the local server.

    `version` or `label` choose a version; with neither, the highest available one answers.
    `timeout_seconds` limits a call, retries included. Errors are `serving.errors.ServingError`s.
    """

    def __init__(
        self,
        *,
        model_name: str,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float = 30.0,
        num_retries: int = 3,
    ) -> None:
        if version is not None and label is not None:
            raise ValueError(
                f"version and label exclude each other. Received: {version}, {label!r}. Give one."
            )
        self.model_name = model_name
        self.version = version
        self.label = label
        self.timeout_seconds = timeout_seconds
        self.num_retries = num_retries

    @abc.abstractmethod
    def predict(
        self,
        *,
        instances: Sequence[Any] | None = None,
        inputs: Any = None,
        signature_name: str | None = None,
    ) -> Any:
        """Runs a signature on rows (`instances`) or on columns (`inputs`).

        Returns what stands under `predictions` for rows, and under `outputs` for columns.
        """

    @abc.abstractmethod
    def status(self) -> dict[str, Any]:
        """The states of the model's versions, as TensorFlow Serving's JSON."""

    @abc.abstractmethod
    def metadata(self) -> dict[str, Any]:
        """The model's signatures, as TensorFlow Serving's JSON."""

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    def predict_texts(
        self,
        texts: Sequence[str],
        *,
        text_pairs: Sequence[str] | None = None,
        signature_name: str | None = None,
        input_names: Sequence[str] = PAIR_NAMES,
    ) -> list[Any]:
        """Returns one prediction a text, or a pair of texts, in their order.

        A prediction is a dict of the outputs, or the bare value if there is only one output.
        `input_names` are the signature's names for a text and for its second.
        """
        if isinstance(texts, str):
            raise ValueError(f"texts must be a list of texts. Received: {texts!r}. Put it in [].")
        if text_pairs is not None and len(text_pairs) != len(texts):
            raise ValueError(
                "text_pairs must hold one text for each of texts. "
                f"Received: {len(text_pairs)} for {len(texts)}. Make them equally long."
            )
        if not texts:
            return []
        columns = [texts] if text_pairs is None else [texts, text_pairs]
        instances = [
            dict(zip(input_names, row, strict=False)) for row in zip(*columns, strict=True)
        ]
        predictions = self.predict(instances=instances, signature_name=signature_name)
        return list(predictions)

    def classify(
        self, texts: Sequence[str], *, text_pairs: Sequence[str] | None = None
    ) -> list[Classification]:
        """The label of each text, or pair, of a classifier."""
        answers = self.predict_texts(texts, text_pairs=text_pairs)
        return [Classification.from_outputs(outputs) for outputs in answers]

    def predict_labels(
        self, texts: Sequence[str], *, text_pairs: Sequence[str] | None = None
    ) -> list[LabelSet]:
        """The labels of each text, or pair, of a model of the task `multi_label`."""
        answers = self.predict_texts(texts, text_pairs=text_pairs)
        return [LabelSet.from_outputs(outputs) for outputs in answers]

    def predict_scores(
        self, texts: Sequence[str], *, text_pairs: Sequence[str] | None = None
    ) -> list[float]:
        """The score of each text, or pair, of a model of the task `regression`."""
        answers = self.predict_texts(texts, text_pairs=text_pairs)
        return [float(answer) for answer in answers]

    def label_tokens(self, texts: Sequence[str]) -> list[list[Entity]]:
        """The labelled parts of each text, of a model of the task `token_labels`."""
        return [Entity.from_outputs(outputs) for outputs in self.predict_texts(texts)]

    def answer_questions(
        self, questions: Sequence[str], contexts: Sequence[str]
    ) -> list[QuestionAnswer]:
        """The answer to each question in its context, of a model of `question_answering`."""
        names = ("question", "context")
        answers = self.predict_texts(questions, text_pairs=contexts, input_names=names)
        return [QuestionAnswer.from_outputs(outputs) for outputs in answers]

    def choose(self, texts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[Choice]:
        """The right one of the choices of each text, of a model of the task `multiple_choice`.

        `choices`: those of each text, any number. Line breaks in a choice become spaces.

        Raises `InvalidArgumentError` of a text with fewer than two choices, with more than the
        model takes, or with an empty one.
        """
        lines = ["\n".join(" ".join(_LINES.split(it)) for it in of_text) for of_text in choices]
        answers = self.predict_texts(texts, text_pairs=lines, input_names=("text", "choices"))
        return [Choice.from_outputs(outputs) for outputs in answers]

    def generate(
        self,
        texts: Sequence[str],
        *,
        seed: Numbers = None,
        temperature: Numbers = None,
        top_k: Numbers = None,
        top_p: Numbers = None,
    ) -> list[GeneratedText]:
        """The text that is written from each text, of a model of `sequence_to_sequence`.

        The settings are for models that sample: a number each, or one a text. Where some are given,
        the others are as exported, for which the model is asked before: give all four to save that.

        Raises `InvalidArgumentError` of a text with a value out of range, and `ServingError` where
        the model does not sample.
        """
        given = {"seed": seed, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        if texts and any(value is not None for value in given.values()):
            answers = sampled_texts(self, texts, given)
        else:
            answers = self.predict_texts(texts)
        return [GeneratedText.from_outputs(outputs) for outputs in answers]

    def fill_mask(self, texts: Sequence[str]) -> list[list[MaskFilling]]:
        """The likeliest tokens for the first [MASK] of each text.

        Raises `InvalidArgumentError` of a text without one; `predict_texts` with `fill_mask` gives
        the other answers, too, each with its `status`.
        """
        answers = self.predict_texts(texts, signature_name="fill_mask")
        return [MaskFilling.from_outputs(outputs) for outputs in answers]

    def embed(self, texts: Sequence[str], *, normalize: bool = False) -> list[list[float]]:
        """The embedding of each text; with `normalize`, of length 1."""
        name = "embed_normalized" if normalize else "embed"
        return self.predict_texts(texts, signature_name=name)

    def predict_many(
        self,
        texts: Iterable[str | tuple[str, str]],
        *,
        signature_name: str | None = None,
        batch_size: int = 32,
        max_in_flight: int = 4,
    ) -> Iterator[Any]:
        """Predictions of any number of texts, or pairs, in their order, as they come.

        Requests of `batch_size` texts are sent while others are answered, `max_in_flight` at once;
        of an endless stream no more is read than that.
        """
        if batch_size < 1 or max_in_flight < 1:
            raise ValueError(
                "batch_size and max_in_flight must be 1 or more. Received: "
                f"{batch_size} and {max_in_flight}."
            )
        batches = iter(texts)
        with ThreadPoolExecutor(max_in_flight) as threads:
            running: collections.deque[Future[list[Any]]] = collections.deque()
            while True:
                while len(running) < max_in_flight and (
                    batch := list(itertools.islice(batches, batch_size))
                ):
                    running.append(threads.submit(self._predict_batch, batch, signature_name))
                if not running:
                    return
                yield from running.popleft().result()

    def _predict_batch(
        self, batch: Sequence[str | tuple[str, str]], signature_name: str | None
    ) -> list[Any]:
        pairs = [(text, None) if isinstance(text, str) else text for text in batch]
        seconds = [second for _, second in pairs if second is not None]
        return self.predict_texts(
            [first for first, _ in pairs],
            text_pairs=seconds or None,
            signature_name=signature_name,
        )

    def wait_until_available(self, timeout_seconds: float = 60.0) -> None:
        """Returns when a version can answer; raises `UnavailableError` when time is up."""
        give_up_at = time.monotonic() + timeout_seconds
        while True:
            try:
                versions = self.status()["model_version_status"]
                if any(version["state"] == "AVAILABLE" for version in versions):
                    return
                last = f"its versions are {versions}"
            except (
                errors.NotFoundError,
                errors.UnavailableError,
                errors.DeadlineExceededError,
            ) as error:
                last = error.message
            if time.monotonic() + _POLL_SECONDS > give_up_at:
                raise errors.UnavailableError(
                    f"Model {self.model_name!r} must be available within {timeout_seconds} s. "
                    f"Last answer: {last}"
                )
            time.sleep(_POLL_SECONDS)

    def _ask_again(self, ask: Callable[[float], _Answer]) -> _Answer:
        """What `ask` returns, given the seconds that are left; again while it is UNAVAILABLE."""
        give_up_at = time.monotonic() + self.timeout_seconds
        backoff_seconds, num_retries_left = _FIRST_BACKOFF_SECONDS, self.num_retries
        while True:
            try:
                return ask(max(give_up_at - time.monotonic(), 0.001))
            except errors.UnavailableError:
                if num_retries_left == 0 or time.monotonic() + backoff_seconds >= give_up_at:
                    raise
            num_retries_left -= 1
            time.sleep(backoff_seconds)
            backoff_seconds *= 2

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_one_form(instances: object, inputs: object) -> None:
    """A predict request has rows or columns, never both."""
    if (instances is None) == (inputs is None):
        received = "neither" if instances is None else "both"
        raise ValueError(f"give either instances (rows) or inputs (columns). Received: {received}.")
