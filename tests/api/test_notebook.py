"""The notebook in docs/ runs, and work in it shows its rate and the time left."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from bert_tf.api import progress

XLA_TELLS_ONCE = r"absl::InitializeLog|Compiled cluster using XLA"
"""What C++ writes by itself, once a process."""
NOTEBOOK = Path(__file__).parents[2] / "docs" / "python.ipynb"


class ListeningClient(NotebookClient):
    """Keeps every line that a display was updated with, not the last one alone."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] in ("display_data", "update_display_data"):
            lines = self.__dict__.setdefault("displayed", [])
            lines.append(msg["content"]["data"].get("text/plain", ""))
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Any, list[str]]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
        patch.setenv("TMPDIR", str(folder))
        client = ListeningClient(
            notebook, timeout=240, resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return notebook, client.__dict__["displayed"]


def outputs_of(notebook: Any, source: str) -> list[Any]:
    (cell,) = [
        cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source
    ]
    return cell.outputs


def test_the_notebook_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_training_shows_one_line_that_ends_with_all_steps_done(run):
    notebook, _ = run
    displays = [
        output
        for output in outputs_of(notebook, "finetune(")
        if output.output_type == "display_data"
    ]
    (line,) = [display["data"]["text/plain"] for display in displays]
    assert re.fullmatch(r"finetune: (\d+) of \1, loss [\d.]+, .*[\d.]+ sequences/s.*", line), line


def test_training_shows_the_time_left_on_its_way(run):
    _, displayed = run
    assert any(re.search(r"sequences/s.*, \d+ s left$", line) for line in displayed), displayed


def test_nothing_but_results_and_progress_stands_below_the_cells(run):
    notebook, _ = run
    lines = [
        line
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
        for line in output["text"].splitlines()
    ]
    assert [line for line in lines if not re.search(XLA_TELLS_ONCE, line)] == []


def test_the_model_learns_and_its_export_says_the_same(run):
    notebook, _ = run
    text = outputs_of(notebook, "micro_f1_low")[0]["data"]["text/plain"]
    assert float(re.search(r"micro_f1 +([\d.]+)", text)[1]) > 0.9, text
    (answers,) = outputs_of(notebook, 'served.predict(texts)["prob')
    praise, complaint = ast.literal_eval(answers["data"]["text/plain"])
    assert praise[0] > 0.5 > praise[1]
    assert complaint[1] > 0.5 > complaint[0]


def test_without_a_kernel_ipython_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    with progress.progress(is_shown=True) as show:
        show("work", 1, 2)


def test_work_that_is_not_to_be_shown_shows_nothing(capsys):
    with progress.progress(is_shown=False) as show:
        show("work", 2, 2, "done")
    assert capsys.readouterr() == ("", "")


def test_the_last_state_of_work_is_drawn_however_soon_it_came(monkeypatch):
    drawn = []

    class Handle:
        def update(self, shown, *, raw):
            drawn.append(shown["text/plain"])

    def display(shown, *, raw, display_id):
        drawn.append(shown["text/plain"])
        return Handle()

    monkeypatch.setattr(progress, "_is_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    with progress.progress(is_shown=True) as show:
        for done in (500, 1000, 1500):
            show("documents read", done, None)
        assert len(drawn) == 1, "every update was drawn"
    assert drawn[-1].startswith("documents read: 1,500, ")
