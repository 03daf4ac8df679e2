"""Progress without a terminal: a line now and then, with time left."""

import logging

from bert_tf.cli import progress
from bert_tf.cli.progress import ProgressDisplay


def test_the_last_unit_is_always_reported_and_others_now_and_then(caplog):
    caplog.set_level(logging.INFO, logger="bert_tf.cli.progress")
    with ProgressDisplay(is_terminal=False) as display:
        for done in range(1, 101):
            display.update("shards", done, 100, "loss 1.0")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("shards: 1 of 100, loss 1.0")
    assert lines[-1] == "shards: 100 of 100, loss 1.0"
    assert len(lines) == 2, "quick work gives no line for every unit"


def test_time_left_follows_from_the_rate_since_the_first_report():
    assert progress.describe_work("a", 50, 100, "b", 10.0) == "a: 50 of 100, b, 5 s left"
    assert progress.describe_work("a", 50, 4050, "b", 1.0) == "a: 50 of 4,050, b, 1:06:40 left"


def test_the_rate_is_shown_where_nothing_else_tells_of_it():
    assert progress.describe_work("a", 50, 100, "", 10.0) == "a: 50 of 100, 10.0/s, 5 s left"
    assert progress.describe_work("a", 1_000, None, "", 10.0) == "a: 1,000, 10.0/s"
    assert progress.describe_work("a", 1_000, None, "", None) == "a: 1,000"


def test_a_terminal_gets_a_live_bar(capsys):
    with ProgressDisplay(is_terminal=True) as display:
        display.update("pretrain", 1, 2, "loss 2.0")
        display.update("pretrain", 2, 2, "loss 1.0")
    assert "pretrain" in capsys.readouterr().err
