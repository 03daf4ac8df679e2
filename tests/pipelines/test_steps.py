"""Steps: run once for given inputs, reused when nothing changed, gone on with when interrupted."""

import pytest

from pipelines import steps


def run_step(name, work, *, inputs, parent_dir, code=()):
    return steps.run_step(name, work, inputs=inputs, code=code, parent_dir=parent_dir)


class Work:
    """Counts its calls and writes a file."""

    def __init__(self, *, fails: bool = False):
        self.calls = 0
        self.fails = fails

    def __call__(self, directory):
        self.calls += 1
        (directory / f"result-{self.calls}.txt").write_text("result")
        if self.fails:
            raise RuntimeError("out of luck")


def test_unchanged_inputs_are_reused(tmp_path):
    work = Work()
    first = run_step("one", work, inputs={"a": 1}, parent_dir=tmp_path)
    second = run_step("one", work, inputs={"a": 1}, parent_dir=tmp_path)
    assert (first.is_reused, second.is_reused, work.calls) == (False, True, 1)
    assert second.seconds == first.seconds


def test_a_changed_setting_runs_again_in_an_empty_folder(tmp_path):
    run_step("one", Work(), inputs={"a": 1}, parent_dir=tmp_path)
    work = Work()
    work.calls = 5
    step = run_step("one", work, inputs={"a": 2}, parent_dir=tmp_path)
    assert not step.is_reused
    assert sorted(path.name for path in step.directory.iterdir()) == ["result-6.txt", "step.json"]


def test_changed_content_of_a_file_or_folder_runs_again(tmp_path):
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    work = Work()
    for content in ("one", "one", "two"):
        (folder / "a.txt").write_text(content)
        run_step("one", work, inputs={"folder": folder}, parent_dir=tmp_path)
    assert work.calls == 2


def test_a_changed_parent_runs_its_children_again(tmp_path):
    work = Work()
    for setting in (1, 1, 2):
        parent = run_step("parent", Work(), inputs={"a": setting}, parent_dir=tmp_path)
        run_step("child", work, inputs={"parents": [parent]}, parent_dir=tmp_path)
    assert work.calls == 2


def test_changed_code_runs_again(tmp_path):
    code, work = tmp_path / "code.py", Work()
    for content in ("a = 1", "a = 1", "a = 2"):
        code.write_text(content)
        run_step("one", work, inputs={}, code=[code], parent_dir=tmp_path)
    assert work.calls == 2


def test_an_interrupted_step_goes_on_in_its_folder(tmp_path):
    with pytest.raises(RuntimeError, match="out of luck"):
        run_step("one", Work(fails=True), inputs={"a": 1}, parent_dir=tmp_path)
    work = Work()
    work.calls = 5
    step = run_step("one", work, inputs={"a": 1}, parent_dir=tmp_path)
    names = sorted(path.name for path in step.directory.glob("result-*"))
    assert names == ["result-1.txt", "result-6.txt"]
    assert not step.is_reused


def test_an_input_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"must be JSON, a Path or a Step. Received: <object"):
        run_step("one", Work(), inputs={"a": object()}, parent_dir=tmp_path)


class Flaky:
    """Fails so often, then works."""

    def __init__(self, error: Exception, *, times: int):
        self.error, self.times, self.calls = error, times, 0

    def __call__(self, directory):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error


@pytest.mark.parametrize("error", [ConnectionError("away"), TimeoutError("late")])
def test_what_fails_for_a_while_is_tried_again(tmp_path, error, caplog):
    work = Flaky(error, times=2)
    options = {"inputs": {}, "parent_dir": tmp_path, "code": ()}
    step = steps.run_step("one", work, max_attempts=3, backoff_seconds=0.01, **options)
    assert (work.calls, step.is_reused) == (3, False)
    assert f"one: attempt 2 of 3 failed, the next in 0 s: {error}" in caplog.text


@pytest.mark.parametrize(
    ("error", "times", "calls"), [(ConnectionError("away"), 9, 3), (ValueError("wrong"), 1, 1)]
)
def test_attempts_end_and_what_stays_wrong_is_not_tried_again(tmp_path, error, times, calls):
    work = Flaky(error, times=times)
    options = {"inputs": {}, "parent_dir": tmp_path, "code": ()}
    with pytest.raises(type(error), match=str(error)):
        steps.run_step("one", work, max_attempts=3, backoff_seconds=0.01, **options)
    assert work.calls == calls
    assert not steps.run_step("one", Work(), **options).is_reused
