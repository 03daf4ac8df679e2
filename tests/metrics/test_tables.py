"""Tables as Markdown."""

import math

from bert_tf.metrics.tables import markdown_table


def test_a_table_has_a_line_for_each_row_and_numbers_on_the_right():
    rows = [
        {"name": "긍정", "support": 12000, "average_precision": 0.5},
        {"name": "a|b\nc", "support": 0, "average_precision": math.nan},
    ]
    assert markdown_table(rows).splitlines() == [
        "| name | support | average precision |",
        "| --- | ---: | ---: |",
        "| 긍정 | 12,000 | 0.5000 |",
        "| a\\|b c | 0 | – |",
    ]


def test_no_rows_are_no_table():
    assert markdown_table([]) == ""
