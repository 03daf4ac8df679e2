"""Labelled examples without a file, for tests."""

from collections.abc import Sequence
from typing import Any

from bert_tf.data.tables.table import Table
from bert_tf.tasks.examples import Examples


def make_examples(
    texts: Sequence[str], targets: Sequence[Any], *, pairs: Sequence[str] | None = None
) -> Examples:
    """Of one text each, or of pairs."""
    inputs = {"text": list(texts)} | ({} if pairs is None else {"text_pair": list(pairs)})
    table = Table.from_columns({**inputs, "label": list(targets)})
    return Examples(table, inputs, list(targets))
