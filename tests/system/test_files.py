"""Files that appear whole, and what a killed process leaves of them."""

import os
import subprocess
import sys
from pathlib import Path

from bert_tf.system.files import remove_left_over


def test_hidden_files_of_ended_processes_go_and_those_of_others_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = [f".model.json.{ended.pid}.tmp", f".a.b.{os.getpid()}.tmp"]
    stays = [f".model.json.{os.getppid()}.tmp", ".notes.tmp", "model.1.tmp", f".x.{2**70}.tmp"]
    for name in (*gone, *stays):
        (tmp_path / name).touch()
    (tmp_path / f".folder.{ended.pid}.tmp").mkdir()
    remove_left_over(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*stays, f".folder.{ended.pid}.tmp"}
