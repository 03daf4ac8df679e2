"""Turns an exception into what a user reads: what must hold, what was received, what to do.

Own errors say that themselves. Those of libraries and of the operating system are known by the
names of their classes, so that no library is imported for it. Whatever remains is a fault of the
package, whose traceback belongs into a file.
"""

import dis
import errno
import json
import os
import tempfile
import traceback
from types import TracebackType

from bert_tf.system.disk_space import full_disk

OWN_PACKAGES = {"bert_tf", "pipelines", "serving"}
MAX_CHARACTERS = 500
_MENDABLE = (ValueError, OSError, FloatingPointError, RuntimeError, ImportError)
_BARE = (UnicodeError, json.JSONDecodeError, RecursionError)
"""Errors that a reader has to give a path: one that comes here has none."""
_RAISING = {dis.opmap["RAISE_VARARGS"], dis.opmap["RERAISE"]}

_ADDRESSES = {"urllib", "ipaddress", "importlib", "sqlalchemy"}
"""Modules that raise where an address is none, or a driver for it is not installed."""
_COPY = "Copy the file again, or write it anew with the command that made it."
_DATABASE = (
    "the MLflow database must be whole, writable and free",
    "Wait for the process that holds it, restore it from a copy, or name another with "
    "MLFLOW_TRACKING_URI.",
)
_WORKERS = (
    "all workers must run and reach each other",
    "Start all of them again; a training goes on from its checkpoint.",
)
_KNOWN: dict[tuple[str, str], tuple[str, str]] = {
    ("builtins", "MemoryError"): (
        "the machine's memory must be enough",
        "Lower batch_size or max_seq_length, or free memory.",
    ),
    ("builtins", "EOFError"): ("a file must be whole", _COPY),
    ("tensorflow", "ResourceExhaustedError"): (
        "the memory of the machine or its accelerator must be enough",
        "Lower batch_size or max_seq_length, or raise accumulation_steps.",
    ),
    ("tensorflow", "DataLossError"): ("a file must be whole", _COPY),
    ("tensorflow", "OutOfRangeError"): ("a file must be whole", _COPY),
    ("tensorflow", "NotFoundError"): (
        "every file that TensorFlow reads must be there",
        "Give the whole folder, or copy it again.",
    ),
    ("tensorflow", "PermissionDeniedError"): (
        "a file must be open to this user",
        "Change its owner or mode, or give another path.",
    ),
    ("tensorflow", "UnavailableError"): _WORKERS,
    ("tensorflow", "AbortedError"): _WORKERS,
    ("tensorflow", "DeadlineExceededError"): (
        "a worker or server must answer in time",
        "See that it runs and can be reached, and try again.",
    ),
    ("tensorflow", "FailedPreconditionError"): (
        "what TensorFlow reads or writes must be in order",
        "See to the file or folder that it names.",
    ),
    ("sqlalchemy", "SQLAlchemyError"): _DATABASE,
    ("sqlite3", "Error"): _DATABASE,
    ("alembic", "CommandError"): (
        "the MLflow database must be of the installed MLflow's version, or older",
        "Install the MLflow that wrote it, or name another database with MLFLOW_TRACKING_URI.",
    ),
    ("mlflow", "MlflowException"): (
        "the MLflow server must take what it is asked",
        "See that MLFLOW_TRACKING_URI names the right one, and that it is in order.",
    ),
    ("requests", "RequestException"): ("the server must answer", "See that it runs."),
    ("urllib3", "HTTPError"): ("the server must answer", "See that it runs."),
    ("http", "HTTPException"): ("the server must answer over HTTP", "See that it runs."),
    ("grpc", "RpcError"): ("the server must answer", "See that it runs."),
    ("ray", "RayError"): (
        "the Ray cluster must run and do its tasks",
        "See its log, start it again, and run the same command.",
    ),
    ("safetensors", "SafetensorError"): ("a file of weights must be whole", _COPY),
    ("safetensors_rust", "SafetensorError"): ("a file of weights must be whole", _COPY),
    ("pyarrow", "ArrowException"): ("a file must be whole Parquet", _COPY),
    ("zlib", "error"): ("a packed file must be whole", _COPY),
    ("lzma", "LZMAError"): ("a packed file must be whole", _COPY),
    ("_lzma", "LZMAError"): ("a packed file must be whole", _COPY),
    ("zstandard", "ZstdError"): ("a packed file must be whole", _COPY),
    ("zstd", "ZstdError"): ("a packed file must be whole", _COPY),
    ("zipfile", "BadZipFile"): ("an archive must be whole", _COPY),
    ("google", "DecodeError"): ("a file of messages must be whole", _COPY),
    ("concurrent", "BrokenExecutor"): (
        "worker processes must live until their work is done",
        "Look for too little memory, and run the same command to go on.",
    ),
}
"""(First part of the module, class) -> what must hold, what to do; subclasses are known, too."""

_OF_PATHS = {
    errno.ENOENT: ("must exist", "Give the path of what there is."),
    errno.EACCES: ("must be open to this user", "Change its owner or mode, or give another."),
    errno.EPERM: ("must be open to this user", "Change its owner or mode, or give another."),
    errno.EROFS: ("must be writable", "Give a path on another file system."),
    errno.EISDIR: ("must be a file", "Give the path of a file."),
    errno.ENOTDIR: ("must lie in folders alone", "Give a path without a file in the middle."),
    errno.EEXIST: ("must not be there yet", "Give another path."),
    errno.ENOTEMPTY: ("must be empty", "Give another path."),
    errno.ENAMETOOLONG: ("must be a path that the file system takes", "Give a shorter one."),
    errno.ELOOP: ("must be a path without a circle of links", "Mend the links."),
    errno.EIO: ("must be readable", "The disk may be damaged; give a copy elsewhere."),
}


def message_of(error: BaseException) -> str | None:
    """What a user reads of an error; None of a fault of the package."""
    if message := full_disk(error):
        return message
    if _is_own(error):
        return str(error) or None
    if known := _known(error):
        must_hold, to_do = known
        return f"{must_hold}. Received: {_in_short(error)}. {to_do}"
    if isinstance(error, OSError) and error.strerror:
        return _of_operating_system(error)
    if isinstance(error, ValueError | ImportError) and _module_of(error) in _ADDRESSES:
        return (
            "an address must be one that can be used, and what it needs be installed. Received: "
            f"{_in_short(error)}. Look at MLFLOW_TRACKING_URI and the addresses of the command."
        )
    if isinstance(error, _MENDABLE) and not isinstance(error, _BARE):
        is_bare = _is_of_python(error) or type(error).__module__.startswith("pydantic")
        return None if is_bare else str(error) or None
    return None


def is_of_database(error: BaseException) -> bool:
    """Whether MLflow's database failed: SQLAlchemy, SQLite or Alembic, which changes its tables."""
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(roots & {"sqlalchemy", "sqlite3", "alembic"})


def fault_message(error: BaseException) -> str:
    """What a user reads of a fault of the package; its traceback is written to a new file."""
    lines = "".join(traceback.format_exception(error))
    report = f"The traceback is:\n{lines}"
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            prefix="bert-tf-fault-",
            suffix=".txt",
            delete=False,
        ) as file:
            file.write(lines)
        report = f"Report it with the command and {file.name}, which holds the traceback."
    except OSError:
        pass  # no folder for temporary files: the screen is better than nothing
    return f"this is a fault of the package. Received: {_in_short(error)}. {report}"


def _is_own(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in OWN_PACKAGES


def _known(error: BaseException) -> tuple[str, str] | None:
    for kind in type(error).__mro__:
        if entry := _KNOWN.get((kind.__module__.partition(".")[0], kind.__name__)):
            return entry
    return None


def _in_short(error: BaseException) -> str:
    """In one line: its class, and the beginning of what it says."""
    said = getattr(error, "orig", None) or error  # sqlalchemy's has the statement, too
    text = " ".join(str(said).split())
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:MAX_CHARACTERS]}…"
    return f"{type(error).__name__}: {text.rstrip('.')}" if text else type(error).__name__


def _of_operating_system(error: OSError) -> str:
    if error.filename is None:
        return f"{os.strerror(error.errno) if error.errno else error.strerror}: {error}"
    must_hold, to_do = _OF_PATHS.get(error.errno or 0, ("must be usable", "Give another path."))
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    return f"{name}: {must_hold}. Received: {error.strerror}. {to_do}"


def _module_of(error: BaseException) -> str:
    """The first part of the module that raised it."""
    frame = _last_frame(error)
    return str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0] if frame else ""


def _is_of_python(error: BaseException) -> bool:
    """Whether Python itself raised it in our code, as `int("x")` does: such a text has no path."""
    frame = _last_frame(error)
    if frame is None or _module_of(error) not in OWN_PACKAGES:
        return False
    return frame.tb_frame.f_code.co_code[frame.tb_lasti] not in _RAISING


def _last_frame(error: BaseException) -> TracebackType | None:
    """Where it was raised."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last
