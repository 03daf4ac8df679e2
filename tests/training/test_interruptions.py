"""A training that is killed again and again, before each thing that it writes, ends like any other.

A kill is an error that no one catches, after which the process writes and deletes nothing more.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file

from bert_tf.config import Config, validate_config
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.tracking.journal import Journal
from bert_tf.tracking.reporting import METRICS_FILE
from bert_tf.tracking.tracker import run_id_of, send_pending
from bert_tf.training.stages.finetuning import finetune
from bert_tf.training.stages.pretraining import pretrain
from tests.mlflow_stores import make_database
from tests.training.cluster_runs import make_tree

TIMES = ("per_second", "seconds_per_step", "utilization")
STAGES: dict[str, Callable[..., dict[str, float]]] = {"pretrain": pretrain, "finetune": finetune}


class Killed(BaseException):
    """The process is no more."""


class Kill:
    """After so many writes, which are renames and lines of the journal, or after a step's line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes_left: float = np.inf
        self.step: int | None = None
        for owner, name in ((Path, "replace"), (Path, "unlink"), (Journal, "append")):
            counts = name != "unlink"
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name), counts=counts))

    def _wrapped(self, write: Callable[..., Any], *, counts: bool) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if self.writes_left <= 0:
                if isinstance(arguments[0], Journal):
                    arguments[0].close()
                raise Killed
            self.writes_left -= counts
            if self.step is not None and options.get("step") == self.step:
                self.writes_left = 0
            return write(*arguments, **options)

        return wrapped


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Kill:
    return Kill(monkeypatch)


def test_a_run_without_held_out_records_that_is_killed_after_its_last_step_has_all_at_the_end(
    cluster_data: Path, tmp_path: Path, kill: Kill
) -> None:
    check(cluster_data, tmp_path, kill, "pretrain", is_evaluated=False, points=range(0, 20, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "is_evaluated"), [("pretrain", False), ("pretrain", True), ("finetune", True)]
)
def test_a_run_that_is_killed_before_anything_that_it_writes_has_all_at_the_end(
    cluster_data: Path, tmp_path: Path, kill: Kill, stage: str, is_evaluated: bool
) -> None:
    check(
        *(cluster_data, tmp_path, kill, stage),
        is_evaluated=is_evaluated,
        points=itertools.count(),
    )


def check(
    data: Path,
    folder: Path,
    kill: Kill,
    stage: str,
    *,
    is_evaluated: bool,
    points: Iterable[int],
) -> None:
    """Kill a run while it trains, and then before each of these writes; compare what is there."""
    config = make_config(data, folder, is_evaluated=is_evaluated)
    expected = STAGES[stage](config, folder / "whole")
    uri = make_database(folder / "mlflow.db")
    kill.step = 3  # Logged; the newest checkpoint is the second one.
    with pytest.raises(Killed):
        STAGES[stage](config, folder / "killed")
    kill.step = None
    for point in points:
        kill.writes_left = point
        try:
            STAGES[stage](config, folder / "killed")
        except Killed:
            kill.writes_left = np.inf
            if point % 4 == 0:  # part of the journal is sent before the next kill
                send_pending(folder / "killed", tracking_uri=uri)
        else:
            break
    kill.writes_left = np.inf
    metrics = STAGES[stage](config, folder / "killed")
    assert without_times(metrics) == without_times(expected)
    assert_equal_folders(folder / "killed", folder / "whole")
    for name in ("killed", "whole"):
        send_pending(folder / name, tracking_uri=uri)
    assert_equal_runs(MlflowClient(uri), folder / "killed", folder / "whole")


def make_config(data: Path, folder: Path, *, is_evaluated: bool) -> Config:
    tree = make_tree(data, num_steps=4, evaluate_every_steps=2, keep_checkpoints=1)
    if not is_evaluated:
        tree["corpus"]["held_out_share"] = 0.0
        tree["pretraining"]["records"] = str(folder / "records")
        prepare_records(validate_config(tree), folder / "records")
    return validate_config(tree)


def without_times(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in metrics if not name.endswith(TIMES)}


def assert_equal_folders(one: Path, other: Path) -> None:
    """The same files, hidden ones too, with the same content, but for times."""
    names, expected = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if is_compared(path)}
        for folder in (one, other)
    )
    assert names == expected
    metrics, of_other = (
        json.loads((folder / METRICS_FILE).read_text("utf-8")) for folder in (one, other)
    )
    assert metrics
    assert metrics.keys() == of_other.keys()
    assert without_times(metrics) == without_times(of_other)
    for name in names - {METRICS_FILE}:
        if (one / name).suffix == ".safetensors":
            tensors = load_file(other / name)
            assert all(np.array_equal(x, tensors[k]) for k, x in load_file(one / name).items())
        elif (one / name).is_file() and "checkpoints/step-" not in name:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def is_compared(path: Path) -> bool:
    """Names and contents of TensorBoard's files and of the journal have times in them."""
    return not {"tensorboard", "tracking"} & {path.name, path.parent.name}


def assert_equal_runs(client: MlflowClient, one: Path, other: Path) -> None:
    """Each metric of each step once, with its value; the same files; both finished."""
    runs = [client.get_run(str(run_id_of(folder))) for folder in (one, other)]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    rows, expected = (
        {
            name: [
                (row.step, row.value) for row in client.get_metric_history(run.info.run_id, name)
            ]
            for name in run.data.metrics
        }
        for run in runs
    )
    assert {name: [step for step, _ in of] for name, of in rows.items()} == {
        name: [step for step, _ in of] for name, of in expected.items()
    }
    assert without_times(rows) == without_times(expected)
    files, of_other = (
        {item.path for item in client.list_artifacts(run.info.run_id)} for run in runs
    )
    assert files == of_other
    assert len(runs[0].inputs.dataset_inputs) == len(runs[1].inputs.dataset_inputs)
    assert METRICS_FILE in files
