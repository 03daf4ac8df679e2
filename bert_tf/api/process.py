"""What a process that uses the package from Python is told before it imports TensorFlow."""

import logging
import os

from bert_tf.system.environment import library_environment


def prepare_process() -> None:
    """Settings of libraries, in the environment, and of TensorFlow's log; what is set stays.

    In a notebook TensorFlow would tell of every file that it writes.
    """
    os.environ.update(library_environment())
    tensorflow = logging.getLogger("tensorflow")
    if tensorflow.level == logging.NOTSET:
        tensorflow.addFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
