"""Sockets that listen, and the thread that answers REST on one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp


class RestThread:
    """The REST surface's event loop, in a thread of its own."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        listener: socket.socket,
        executor: concurrent.futures.Executor,
        shutdown_grace_seconds: float,
        header_timeout_seconds: float,
    ) -> None:
        import uvicorn

        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._executor = executor
        config = uvicorn.Config(
            app,
            http=_protocol(header_timeout_seconds),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=max(1, round(shutdown_grace_seconds)),
        )
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="rest-loop", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._executor.shutdown()
        self._listener.close()

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))


def _protocol(header_timeout_seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP, which waits for ever for a header that has begun, with an end to it."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._wait_for_header()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()
            elif self._timer is None:
                self._wait_for_header()

        def connection_lost(self, error: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(error)

        def _wait_for_header(self) -> None:
            self._timer = self.loop.call_later(header_timeout_seconds, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return TimedProtocol


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening socket, so that a taken port is an error here and not in a thread."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on its connections; without, an answer
    # waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise port_error(f"{bracket(host)}:{port}", error.strerror or str(error)) from error
    return listener


def port_error(address: str, reason: str) -> OSError:
    """What is said of a port that cannot be listened at."""
    return OSError(
        f"{address} must be free. Received: {reason}. Stop what uses it, or choose another port."
    )


def bracket(host: str) -> str:
    """An IPv6 address as it stands before a port."""
    return f"[{host}]" if ":" in host else host
