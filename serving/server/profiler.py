"""TensorFlow's profiler service on the port of the models, as ModelServer has it.

TensorFlow brings the service with a server of its own. That is started on a loopback port when the
first request comes, and requests and answers are passed on as they are.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import grpc

from serving import errors
from serving.server.grpc_service import no_message

_SERVICE = "tensorflow.ProfilerService"
_METHODS = ("Profile", "Terminate", "Monitor")


def add_profiler(server: grpc.Server) -> None:
    """Registers the service with a server."""
    handlers = {
        method: grpc.unary_unary_rpc_method_handler(functools.partial(_pass_on, method))
        for method in _METHODS
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))


def _pass_on(method: str, request: bytes, context: grpc.ServicerContext) -> Any:
    try:
        with _starting:
            channel = _start()
        call = channel.unary_unary(f"/{_SERVICE}/{method}")
        return call(request, timeout=context.time_remaining())
    except grpc.RpcError as error:
        # That server says no more than this of what it cannot read.
        if error.code() is grpc.StatusCode.INTERNAL and not error.details():
            raise no_message(method, request) from error
        raise errors.error_for_code(error.code().name, error.details() or "") from error
    except Exception as error:
        raise errors.UnavailableError(f"The profiler did not start: {error}") from error


_starting = threading.Lock()


@functools.cache
def _start() -> grpc.Channel:
    """One a process: TensorFlow's profiler can be started once, and not stopped."""
    import tensorflow as tf

    from serving.server.listening import listen

    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    tf.profiler.experimental.server.start(port)
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)])
