"""Starts the processes of steps: one stands by, with what steps import, while a step is at work.

Importing TensorFlow, Keras and MLflow takes seconds. The process of the next step spends them
beside the step before it. It knows nothing of its step until it is told the plan, and ends when
the runner does, as every process of a step.
"""

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass, field

from pipelines.engine.processes import python_command, python_path


@dataclass(kw_only=True)
class SpareProcess:
    """Processes of one run of a flow, see `step_process`."""

    lock_fd: int
    """Inherited, so that a folder stays locked while a process still works on it."""
    tracking_uri: str
    imports: tuple[str, ...]
    """Modules, see `Flow.imports`. Without any, no process stands by."""
    _spare: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def take(self) -> subprocess.Popen[bytes]:
        """The one that stands by, if it lives; a new one otherwise."""
        if self._spare is not None and self._spare.poll() is not None:
            self.close()
        process, self._spare = self._spare, None
        return process or self._start(())

    def prepare(self) -> None:
        """Have one stand by."""
        if self.imports and self._spare is None:
            self._spare = self._start(self.imports)

    def close(self) -> None:
        """End the one that stands by, if any. It has done nothing that would be lost."""
        if self._spare is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._spare.pid, signal.SIGKILL)
            self._spare.communicate()
            self._spare = None

    def _start(self, imports: tuple[str, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*python_command("pipelines.engine.step_process"), *imports],
            env={**os.environ, "MLFLOW_TRACKING_URI": self.tracking_uri, **python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self.lock_fd,),
            start_new_session=True,
        )
