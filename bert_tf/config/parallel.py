"""The section `parallel`: pairs of a source and a target for `bert-tf prepare`."""

from typing import Literal

from bert_tf.config.section import ColumnName, Section, Share
from bert_tf.config.table import TableConfig


class ParallelConfig(Section):
    """Pairs of a source and a target for `bert-tf prepare`, too many to be held in memory."""

    paths: tuple[str, ...] = ()
    """Tables as of `finetuning.train_path`, also two text files whose lines belong together as one
    name, `train.{en,de}.gz`. With these `bert-tf prepare` makes records of pairs."""
    table: TableConfig = TableConfig()
    source_field: ColumnName = "source"
    target_field: ColumnName = "target"
    """Columns."""
    made_by: Literal["columns", "spacing", "text"] = "columns"
    """`spacing`: the source is the target's column without its spaces. `text`: the target's column
    alone, whose sources are made by masking some of it."""
    faults: Literal["error", "skip"] = "error"
    """Of rows with nothing to read on a side: stop with file and line, or leave out and count."""
    held_out_share: Share = 0.0
    """Share of pairs kept for evaluation, chosen by a hash of the source and the seed, or of the
    target where there is no source."""
