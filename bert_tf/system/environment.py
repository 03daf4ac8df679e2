"""The environment of a process: variables that libraries read, the commit of its code."""

import contextlib
import os
import subprocess

# A value that is already set stays.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # a local server may run beside a training
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "KERAS_BACKEND": "tensorflow",
}


def git_commit() -> str | None:
    """Of the repository around the working folder, `+` behind it where files were changed."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = _git("rev-parse", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return None


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def library_environment() -> dict[str, str]:
    """Names and values, for before TensorFlow and MLflow are imported."""
    return {name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()}
