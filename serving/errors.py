"""The errors of the serving API: one class a status code, the same for server and clients.

The code names are those of gRPC and TensorFlow; `HTTP_STATUS` is TensorFlow Serving's table for
REST. Nothing here imports TensorFlow, so that the REST client can use it.
"""

from __future__ import annotations


class ServingError(Exception):
    """A request that could not be answered, with its status code.

    `code` is the code's name, for example "NOT_FOUND".
    """

    code = "UNKNOWN"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CancelledError(ServingError):
    """The caller went away, or the server stopped, before the answer was ready."""

    code = "CANCELLED"


class InvalidArgumentError(ServingError, ValueError):
    """The request itself is wrong; sending it again cannot help."""

    code = "INVALID_ARGUMENT"


class DeadlineExceededError(ServingError, TimeoutError):
    """The answer was not ready in the time the caller or the server allows."""

    code = "DEADLINE_EXCEEDED"


class NotFoundError(ServingError, LookupError):
    """No such model, version or path."""

    code = "NOT_FOUND"


class ResourceExhaustedError(ServingError):
    """The server has no room for this request now."""

    code = "RESOURCE_EXHAUSTED"


class FailedPreconditionError(ServingError):
    """The model cannot answer this, for example because it lacks the signature."""

    code = "FAILED_PRECONDITION"


class OutOfRangeError(ServingError, ValueError):
    """A value lies outside what the model takes."""

    code = "OUT_OF_RANGE"


class UnimplementedError(ServingError, NotImplementedError):
    """The server does not have this method."""

    code = "UNIMPLEMENTED"


class InternalError(ServingError):
    """The server or the model failed."""

    code = "INTERNAL"


class UnavailableError(ServingError, ConnectionError):
    """Nothing answers at the address, or the server says that it cannot answer now."""

    code = "UNAVAILABLE"


class DataLossError(ServingError):
    """A file of the model is damaged."""

    code = "DATA_LOSS"


HTTP_STATUS = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}

_CLASSES = {error_class.code: error_class for error_class in ServingError.__subclasses__()}
# Several codes share a status; a REST client learns the class that stands first, the most general.
_CODE_BY_HTTP_STATUS = {HTTP_STATUS[code]: code for code in reversed(_CLASSES)}


def error_for_code(code: str, message: str) -> ServingError:
    """Makes the error of a code's name; a code without a class of its own keeps its name."""
    error_class = _CLASSES.get(code)
    if error_class is not None:
        return error_class(message)
    error = ServingError(message)
    error.code = code
    return error


def error_for_http_status(status: int, message: str) -> ServingError:
    """Makes the error that a REST answer with this HTTP status stands for."""
    code = _CODE_BY_HTTP_STATUS.get(status)
    if code is None:
        return ServingError(f"HTTP status {status}: {message}")
    return error_for_code(code, message)
