"""A client for asyncio around either client: calls run in threads, so many at once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from serving.client.model_client import ModelClient

_Answer = TypeVar("_Answer")
_Arguments = ParamSpec("_Arguments")


def _awaited(
    method: Callable[Concatenate[ModelClient, _Arguments], _Answer],
) -> Callable[Concatenate[AsyncClient, _Arguments], Coroutine[Any, Any, _Answer]]:
    """The method of a `ModelClient` as one to be awaited, with its arguments and docstring."""

    @functools.wraps(method)
    async def call(
        self: AsyncClient, /, *arguments: _Arguments.args, **options: _Arguments.kwargs
    ) -> _Answer:
        run = functools.partial(getattr(self.client, method.__name__), *arguments, **options)
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    return call


class AsyncClient:
    """Awaits what `client` answers; its methods, time limits, retries and errors are the client's.

    At most `max_in_flight` calls run at once, the others wait. A call whose task is cancelled is no
    longer waited for; it ends by itself, within the client's time limit.
    """

    def __init__(self, client: ModelClient, *, max_in_flight: int = 32) -> None:
        self.client = client
        self._threads = ThreadPoolExecutor(max_in_flight, thread_name_prefix="serving-client")

    predict = _awaited(ModelClient.predict)
    predict_texts = _awaited(ModelClient.predict_texts)
    classify = _awaited(ModelClient.classify)
    predict_labels = _awaited(ModelClient.predict_labels)
    label_tokens = _awaited(ModelClient.label_tokens)
    answer_questions = _awaited(ModelClient.answer_questions)
    generate = _awaited(ModelClient.generate)
    choose = _awaited(ModelClient.choose)
    predict_scores = _awaited(ModelClient.predict_scores)
    fill_mask = _awaited(ModelClient.fill_mask)
    embed = _awaited(ModelClient.embed)

    async def close(self) -> None:
        """Waits for what runs, and closes the client."""
        await asyncio.to_thread(self._threads.shutdown)
        self.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()
