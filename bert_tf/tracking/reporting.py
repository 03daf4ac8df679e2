"""Writes what a run reports: configuration, curves, metrics, provenance.

In OUTPUT_DIR: `config.yaml` (resolved, before the first step), `provenance.json`, `tensorboard/`,
`tracking/` (see `tracking`), `metrics.json` (at the end). MLflow receives all of it.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.config import CONFIG_FILE, Config, write_config
from bert_tf.system.files import write_whole
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.tracking.journal import JOURNAL_FILE, TRACKING_FOLDER, Curves, read_events
from bert_tf.tracking.provenance import PROVENANCE_FILE, DataInput, write_provenance
from bert_tf.tracking.tracker import Tracker

METRICS_FILE = "metrics.json"
TENSORBOARD_FOLDER = "tensorboard"


class RunLog:
    """Sends what a run measures to TensorBoard, to the tracker and to `metrics.json`."""

    def __init__(self, output_dir: Path, *, tracker: Tracker, writer: tf.summary.SummaryWriter):
        self._output_dir = output_dir
        self._tracker = tracker
        self._writer = writer

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Curves: the metrics of a step. Of one that is done again after a stop nothing is new."""
        news = self._tracker.unlogged(metrics, step=step)
        with self._writer.as_default():
            for name, value in news.items():
                tf.summary.scalar(name, value, step=step)
        self._writer.flush()  # What the journal has is in TensorBoard, however the process ends.
        self._tracker.log_metrics(news, step=step)

    def log_files(self, *names: str) -> None:
        """Files of the output folder."""
        for name in names:
            self._tracker.log_artifact(self._output_dir / name)

    def log_provenance(
        self,
        *,
        stage: str,
        inputs: Sequence[DataInput],
        vocabulary_sha256: str,
        parent: str | Path | None = None,
    ) -> None:
        """Write `provenance.json`; MLflow gets the data sets as inputs of the run."""
        provenance = write_provenance(
            self._output_dir,
            stage=stage,
            inputs=inputs,
            vocabulary_sha256=vocabulary_sha256,
            parent=parent,
        )
        self._tracker.log_inputs(provenance["inputs"])
        self._tracker.set_tags(
            {
                name: provenance[name]
                for name in ("package_version", "git_commit", "vocabulary_sha256")
                if provenance[name]
            }
        )
        self.log_files(PROVENANCE_FILE)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Write `metrics.json`: the result."""
        write_whole(self._output_dir / METRICS_FILE, json.dumps(metrics, indent=2) + "\n")
        final = {f"final/{name}": value for name, value in metrics.items()}
        self._tracker.log_metrics(final, step=0, replaces=True)
        self.log_files(METRICS_FILE)


class SilentLog(RunLog):
    """The run log of a worker that is not the chief: writes nothing, the chief writes the same."""

    def __init__(self) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Nothing."""

    def log_files(self, *names: str) -> None:
        """Nothing."""

    def log_provenance(self, **_: Any) -> None:
        """Nothing."""

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Nothing."""


def logged_metrics(output_dir: str | Path, step: int) -> dict[str, float]:
    """What a run in the folder logged of a step until now; nothing where none was."""
    path = Path(output_dir) / TRACKING_FOLDER / JOURNAL_FILE
    return Curves(read_events(path), from_step=step).at(step) if path.is_file() else {}


@contextlib.contextmanager
def report_run(
    config: Config,
    output_dir: str | Path,
    *,
    stage: str,
    tracking_uri: str | None,
    is_writer: bool = True,
    begins_with: str | None = None,
    from_step: int = 0,
) -> Iterator[RunLog]:
    """Write the resolved configuration, open the tracker, and close it with how the run ended.

    Args:
        config: as the run uses it, whatever was left open filled in.
        tracking_uri, begins_with, from_step: see `Tracker.open`.
        is_writer: false of a worker that is not the chief.
    """
    if not is_writer:
        yield SilentLog()
        return
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    write_config(config, output_dir)
    with contextlib.ExitStack() as stack:
        tracker = stack.enter_context(
            Tracker.open(
                output_dir,
                config=config.tracking,
                tracking_uri=tracking_uri,
                stage=stage,
                begins_with=begins_with,
                from_step=from_step,
            )
        )
        tracker.log_parameters(config.model_dump(mode="json", exclude={"tracking"}))
        writer = tf.summary.create_file_writer(str(output_dir / TENSORBOARD_FOLDER))
        stack.callback(writer.close)
        log = RunLog(output_dir, tracker=tracker, writer=writer)
        log.log_files(CONFIG_FILE)
        try:
            yield log
        except TrainingInterruptedError:
            tracker.close("KILLED")
            raise
