"""What libraries read from the environment when they start, here or on a worker elsewhere."""

import os

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


def library_environment() -> dict[str, str]:
    """Names and values, for before TensorFlow and MLflow are imported."""
    return {name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()}
