"""What a process that uses the package from Python is told before it imports TensorFlow."""

import os

from bert_tf.system.environment import library_environment


def prepare_process() -> None:
    """Settings of libraries, in the environment; a value that is set stays."""
    os.environ.update(library_environment())
