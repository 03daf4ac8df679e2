"""What both clients share: texts in, one prediction a text out; waiting for a model."""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from typing import Any, Self

from serving import errors

_POLL_SECONDS = 0.2


class ModelClient(abc.ABC):
    """Asks one model of a TensorFlow Serving server, or of the local server.

    `version` or `label` choose a version; with neither, the highest available one answers.
    `timeout_seconds` limits a call, retries included. Errors are `serving.errors.ServingError`s.
    """

    def __init__(
        self,
        *,
        model_name: str,
        version: int | None,
        label: str | None,
        timeout_seconds: float,
        num_retries: int,
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
    ) -> list[Any]:
        """Returns one prediction a text, or a pair of texts, in their order.

        A prediction is a dict of the outputs, or the bare value if there is only one output.
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
        if text_pairs is None:
            instances = [{"text": text} for text in texts]
        else:
            instances = [
                {"text": text, "text_pair": text_pair}
                for text, text_pair in zip(texts, text_pairs, strict=True)
            ]
        predictions = self.predict(instances=instances, signature_name=signature_name)
        return list(predictions)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_one_form(instances: object, inputs: object) -> None:
    """A predict request has rows or columns, never both."""
    if (instances is None) == (inputs is None):
        received = "neither" if instances is None else "both"
        raise ValueError(f"give either instances (rows) or inputs (columns). Received: {received}.")
