"""The page about a run: bounded, and whole without its picture."""

from pathlib import Path
from typing import Any

import pytest

from bert_tf.config import validate_config
from bert_tf.system import pictures as drawing
from pipelines.engine.display import describe
from pipelines.engine.history import RunRecord, StepRecord, now
from pipelines.engine.runner import FlowRun
from pipelines.engine.spare_process import SpareProcess
from pipelines.report import flow_report, pictures
from pipelines.report.flow_report import write_flow_report
from pipelines.report.pictures import make_figure, plot, save
from tests.pipelines.small_flow import FLOW


def make_record(**fields: Any) -> RunRecord:
    steps = [StepRecord("shout", status="done", seconds=1.0)]
    times = {"started_at": now(), "ended_at": now()}
    return RunRecord(run_id="1", flow="small", status="done", steps=steps, **times, **fields)


@pytest.mark.parametrize("num_points", [0, 1, 2000, 2001, 300_000])
def test_a_curve_of_any_length_is_drawn_to_its_last_point(tmp_path: Path, num_points: int) -> None:
    figure, (axes,) = make_figure(1)
    points = [(step, step % 7.0) for step in range(num_points)]
    plot(axes, {"train/loss": points}, "train/loss", "-", "train")
    save(figure, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").is_file()
    for line in axes.lines:
        shown = line.get_xdata()
        assert len(shown) <= pictures.MAX_POINTS + 1
        assert (shown[0], shown[-1]) == (0, num_points - 1)
    assert len(axes.lines) == (num_points > 0)


def test_of_many_files_that_were_set_aside_the_first_are_told() -> None:
    files = [{"path": f"{n}.txt", "reason": "damaged " * 500} for n in range(5000)]
    lines = describe(make_record(set_aside=files)).splitlines()
    assert len(lines) == 13
    assert lines[2].startswith("  set aside: 0.txt: damaged")
    assert lines[-1] == "and 4,990 more"
    assert max(map(len, lines)) <= 500


def test_a_page_is_whole_without_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [{"path": f"{n}.txt", "reason": "damaged"} for n in range(5000)]
    for max_inches, has_picture in ((drawing.MAX_INCHES, True), (1.0, False)):
        monkeypatch.setattr(drawing, "MAX_INCHES", max_inches)
        run = FlowRun(
            flow=FLOW,
            config=validate_config({"tracking": {"enabled": False}}),
            flow_dir=tmp_path / str(has_picture),
            tracking_uri="",
            processes=SpareProcess(lock_fd=0, tracking_uri="", imports=()),
            record=make_record(set_aside=files),
            is_stop_requested=lambda: False,
            on_change=lambda record, line: None,
        )
        monkeypatch.setattr(flow_report, "_complete", lambda run: None)
        page = write_flow_report(run)
        assert page.with_name(flow_report.PICTURE_FILE).exists() == has_picture
        text = page.read_text("utf-8")
        assert (flow_report.PICTURE_FILE in text) == has_picture
        assert "| shout | done | 1 |" in text
        assert "\n- `99.txt`: damaged\nand 4,900 more\n" in text
        journal = (page.parent / "tracking" / "journal.jsonl").read_text("utf-8")
        assert (flow_report.PICTURE_FILE in journal) == has_picture
