"""A local server that answers like TensorFlow Serving, for development.

    python -m serving.local_server --model_name=demo --model_base_path=DIR --rest_api_port=8501

In: `DIR/VERSION/` SavedModels and flags named like those of `tensorflow_model_server`. Out: its
REST paths and gRPC services. Production runs TensorFlow Serving itself on the same directory.
"""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from serving.errors import ServingError
from serving.server.flags import Flags, parse_flags
from serving.server.listening import RestThread, bracket, listen, port_error
from serving.server.model_config import ModelSettings, read_model_config_file

if TYPE_CHECKING:
    import grpc
    from grpc_health.v1.health import HealthServicer

_logger = logging.getLogger(__name__)

_DEVELOPMENT_NOTICE = (
    "This local server is for development. "
    "Production runs TensorFlow Serving (tensorflow_model_server) on the same directory."
)


class LocalServer:
    """Serves models over REST and gRPC until it is stopped; also a context manager.

    `rest_api_port` and `port` (gRPC): None switches the surface off, 0 picks a free port. After
    `start`, `rest_url` and `grpc_address` tell where it listens. `file_system_poll_wait_seconds`
    of 0 or less looks at the disk once, at the start. What else it may be told stands in `Flags`.

    `models` is the `ModelManager`: names to `ServedModel`s.

    `start` loads what is on disk before it opens the ports, and raises `OSError` when a port is
    taken and `FailedPreconditionError` when a label stands for a version that is not there. A model
    that is not on disk yet is waited for while the server runs.
    """

    def __init__(
        self,
        models: Sequence[ModelSettings],
        *,
        port: int | None = None,
        rest_api_port: int | None = None,
        shutdown_grace_seconds: float = 30.0,
        **flags: Any,
    ) -> None:
        # TensorFlow is imported by these, so not before the first line of the log is out.
        from serving.server.manager import ModelManager

        flags = {"allow_version_labels_for_unavailable_models": True} | flags
        self._flags = Flags(models=tuple(models), **flags)
        self.host = self._flags.host
        self._wanted_port = port
        self._wanted_rest_api_port = rest_api_port
        self._shutdown_grace_seconds = shutdown_grace_seconds
        self.models = ModelManager((), loading=self._flags.loading)
        self._stop_requested = threading.Event()
        self._threads: list[threading.Thread] = []
        self._rest: RestThread | None = None
        self._grpc_server: grpc.Server | None = None
        self._grpc_port: int | None = None
        self._health: HealthServicer | None = None

    @property
    def rest_url(self) -> str:
        """The base URL of the REST surface, such as http://127.0.0.1:8501."""
        if self._rest is None:
            raise ValueError("REST is off, or the server is not started. Set rest_api_port.")
        return f"http://{bracket(self.host)}:{self._rest.port}"

    @property
    def grpc_address(self) -> str:
        """The address of the gRPC surface, such as 127.0.0.1:8500."""
        if self._grpc_port is None:
            raise ValueError("gRPC is off, or the server is not started. Set port.")
        return f"{bracket(self.host)}:{self._grpc_port}"

    def start(self) -> None:
        """Loads the models, opens the ports and begins to poll."""
        self._stop_requested.clear()
        flags = self._flags
        try:
            self._apply(flags.models)
            if self._grpc_addresses():
                self._start_grpc()
                for address in self._grpc_addresses():
                    _logger.info("Running gRPC ModelServer at %s ...", address)
            if self._wanted_rest_api_port is not None:
                self._start_rest(self._wanted_rest_api_port)
                _logger.info("Exporting HTTP/REST API at: %s ...", self.rest_url)
        except BaseException:
            self.stop()
            raise
        self._repeat(self.models.poll, flags.file_system_poll_wait_seconds)
        if flags.model_config_file:
            self._repeat(self._reload_config, flags.model_config_file_poll_wait_seconds)

    def stop(self) -> None:
        """Takes no more requests, lets those that run end, then unloads the models."""
        self._stop_requested.set()
        if self._health is not None:
            # To watchers and to later calls NOT_SERVING, since no more requests are taken.
            self._health.enter_graceful_shutdown()
            self._health = None
        grpc_stopped = None
        if self._grpc_server is not None:
            grpc_stopped = self._grpc_server.stop(self._shutdown_grace_seconds)
        if self._rest is not None:
            self._rest.stop()
            self._rest = None
        if grpc_stopped is not None:
            grpc_stopped.wait()
            self._grpc_server = self._grpc_port = None
        for thread in self._threads:  # one may be loading a version
            thread.join()
        self._threads.clear()
        self.models.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _repeat(self, look: Callable[[], None], wait_seconds: float) -> None:
        """Calls `look` again and again in a thread; not at all without a time between."""
        if wait_seconds <= 0:
            return

        def run() -> None:
            while not self._stop_requested.wait(min(wait_seconds, threading.TIMEOUT_MAX)):
                look()

        thread = threading.Thread(target=run, name="poll", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _apply(self, models: Sequence[ModelSettings]) -> None:
        allows = self._flags.allow_version_labels_for_unavailable_models
        self.models.apply(models, allows_unavailable_labels=allows)

    def _reload_config(self) -> None:
        """Serves what the file says now; a file that is wrong, or says nothing, changes nothing."""
        try:
            models = read_model_config_file(self._flags.model_config_file)
            if models is not None:
                self._apply(models)
        except (OSError, ValueError, ServingError) as error:
            _logger.error("The model configuration stays as it was: %s", error)

    def _start_grpc(self) -> None:
        import grpc

        from serving.server import grpc_service, profiler

        server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(
                self._flags.max_requests, thread_name_prefix="grpc"
            ),
            interceptors=[grpc_service.Statuses(num_threads=self._flags.grpc_max_threads)],
            # Beyond, a request is refused at once: RESOURCE_EXHAUSTED.
            maximum_concurrent_rpcs=self._flags.max_requests,
            options=[
                ("grpc.max_receive_message_length", self._flags.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # Without this, a second server could take the same port unnoticed.
                ("grpc.so_reuseport", 0),
                *self._flags.grpc_channel_arguments,
            ],
        )
        self._health = grpc_service.add_services(
            server,
            self.models,
            allows_unavailable_labels=self._flags.allow_version_labels_for_unavailable_models,
        )
        if self._flags.enable_profiler:
            profiler.add_profiler(server)
        for address in self._grpc_addresses():
            try:
                bound = self._open_port(server, address)
            except RuntimeError as error:
                raise port_error(address, str(error)) from error
            if not address.startswith("unix:"):
                self._grpc_port = bound
        server.start()
        self._grpc_server = server

    def _grpc_addresses(self) -> list[str]:
        """Where gRPC is answered: with the port that was found once there is one."""
        path = self._flags.grpc_socket_path
        addresses = [f"unix:{path}"] if path else []
        if self._wanted_port is not None:
            addresses.append(f"{bracket(self.host)}:{self._grpc_port or self._wanted_port}")
        return addresses

    def _open_port(self, server: grpc.Server, address: str) -> int:
        if self._flags.tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _server_credentials(self._flags.tls))

    def _start_rest(self, port: int) -> None:
        from serving.server import rest

        executor = concurrent.futures.ThreadPoolExecutor(
            self._flags.rest_api_num_threads, thread_name_prefix="rest"
        )
        app = rest.build_rest_app(
            self.models,
            executor=executor,
            flags=self._flags,
        )
        try:
            self._rest = RestThread(
                app,
                listener=listen(self.host, port),
                executor=executor,
                shutdown_grace_seconds=self._shutdown_grace_seconds,
                header_timeout_seconds=self._flags.rest_api_timeout_in_ms / 1000,
            )
        except BaseException:
            executor.shutdown()
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server until SIGTERM or SIGINT; returns the exit code."""
    flags = parse_flags(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    _logger.info(_DEVELOPMENT_NOTICE)
    # TensorFlow's notes about CPU features and its old loader say nothing about the models.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    # On the command line, as in TensorFlow Serving, port 0 means off.
    ports = {"port": flags.port or None, "rest_api_port": flags.rest_api_port or None}
    server = LocalServer(**(vars(flags) | ports))
    # What is there before any model stays: garbage is collected in milliseconds after a swap.
    gc.collect()
    gc.freeze()
    try:
        server.start()
    except (OSError, ServingError) as error:
        _logger.error("%s", error)
        return 1
    stop_requested.wait()
    _logger.info("Shutting down: waiting for running requests to end ...")
    # A second signal ends the process at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    server.stop()
    _logger.info("Stopped.")
    return 0


def _server_credentials(tls: Any) -> grpc.ServerCredentials:
    import grpc

    return grpc.ssl_server_credentials(
        [(tls.server_key.encode(), tls.server_cert.encode())],
        root_certificates=tls.custom_ca.encode() or None,
        require_client_auth=tls.client_verify,
    )


if __name__ == "__main__":
    sys.exit(main())
