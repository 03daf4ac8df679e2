"""A client for asyncio around either client: calls run in threads, so many at once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from serving.client.answers import Classification, LabelSet, MaskFilling
from serving.client.model_client import ModelClient

_Answer = TypeVar("_Answer")


class AsyncClient:
    """Awaits what `client` answers; its methods, time limits, retries and errors are the client's.

    At most `max_in_flight` calls run at once, the others wait. A call whose task is cancelled is no
    longer waited for; it ends by itself, within the client's time limit.
    """

    def __init__(self, client: ModelClient, *, max_in_flight: int = 32) -> None:
        self.client = client
        self._threads = ThreadPoolExecutor(max_in_flight, thread_name_prefix="serving-client")

    async def predict(
        self,
        *,
        instances: Sequence[Any] | None = None,
        inputs: Any = None,
        signature_name: str | None = None,
    ) -> Any:
        """See `ModelClient.predict`."""
        return await self._run(
            self.client.predict, instances=instances, inputs=inputs, signature_name=signature_name
        )

    async def predict_texts(
        self,
        texts: Sequence[str],
        *,
        text_pairs: Sequence[str] | None = None,
        signature_name: str | None = None,
    ) -> list[Any]:
        """See `ModelClient.predict_texts`."""
        return await self._run(
            self.client.predict_texts, texts, text_pairs=text_pairs, signature_name=signature_name
        )

    async def classify(
        self, texts: Sequence[str], *, text_pairs: Sequence[str] | None = None
    ) -> list[Classification]:
        """See `ModelClient.classify`."""
        return await self._run(self.client.classify, texts, text_pairs=text_pairs)

    async def predict_labels(
        self, texts: Sequence[str], *, text_pairs: Sequence[str] | None = None
    ) -> list[LabelSet]:
        """See `ModelClient.predict_labels`."""
        return await self._run(self.client.predict_labels, texts, text_pairs=text_pairs)

    async def predict_scores(
        self, texts: Sequence[str], *, text_pairs: Sequence[str] | None = None
    ) -> list[float]:
        """See `ModelClient.predict_scores`."""
        return await self._run(self.client.predict_scores, texts, text_pairs=text_pairs)

    async def fill_mask(self, texts: Sequence[str]) -> list[list[MaskFilling]]:
        """See `ModelClient.fill_mask`."""
        return await self._run(self.client.fill_mask, texts)

    async def embed(self, texts: Sequence[str], *, normalize: bool = False) -> list[list[float]]:
        """See `ModelClient.embed`."""
        return await self._run(self.client.embed, texts, normalize=normalize)

    async def close(self) -> None:
        """Waits for what runs, and closes the client."""
        await asyncio.to_thread(self._threads.shutdown)
        self.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _run(self, call: Callable[..., _Answer], *arguments: Any, **options: Any) -> _Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, functools.partial(call, *arguments, **options)
        )
