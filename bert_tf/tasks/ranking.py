"""What tasks share that rank passages for queries, or learn a score of two texts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bert_tf.config import FinetuningConfig, Section
from bert_tf.data.tables.table import Table
from bert_tf.metrics.embeddings import MRR
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.regression import PEARSON, SPEARMAN
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.base import Report, Task
from bert_tf.tasks.embedding_rows import TextColumns, check_scores, read_groups
from bert_tf.tasks.examples import TEXT, TEXT_PAIR, Examples
from bert_tf.tasks.rank_reports import report_ranks, report_scores
from bert_tf.tasks.score_counts import score_counts

NEGATIVE = "negative"


class RankingTask(Task):
    """A task whose examples have several texts: held-out ones are ranked, or have a score.

    A task made from it says which of the two (`is_scored`) and has `faults` among its settings.
    """

    metrics: tuple[Metric, ...] = (SPEARMAN, PEARSON)
    """Of scores; of ranks `rank_metrics`."""
    slice_metric = SPEARMAN
    rank_metrics: ClassVar[tuple[Metric, ...]]
    has_class_names = False

    def __init__(self, settings: Section | None = None, *, name: str | None = None) -> None:
        super().__init__(settings, name=name)
        if not self.is_scored:
            self.metrics = self.rank_metrics
            self.slice_metric = MRR  # type: ignore[misc]  # of these settings

    @property
    def is_scored(self) -> bool:
        """Whether held-out pairs have scores."""
        raise NotImplementedError

    @property
    def score_span(self) -> tuple[float, float] | None:
        """What scores are counted between; None: the least and the greatest that there are."""
        return None

    # --- examples

    def read_columns(
        self, table: Table, columns: TextColumns, *, span: tuple[float, float] | None
    ) -> Examples:
        """Texts, and scores as targets where a column has some, none of them outside of `span`."""
        found = read_groups(table, columns, faults=self.settings.faults)
        if span is not None:
            check_scores(found.table, found.scores or [], span=span)
        names = (TEXT, TEXT_PAIR, *(f"{NEGATIVE}_{it + 1}" for it in range(len(columns.negatives))))
        inputs: dict[str, Sequence[str]] = dict(zip(names, found.columns, strict=False))
        return Examples(found.table, inputs, found.scores or [None] * len(found.table))

    def read_for(
        self, description: ModelDescription, table: Table, section: FinetuningConfig
    ) -> Examples:
        return self.read_held_out(table, section)

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """Scores in bins; of unscored examples their number."""
        if self.target_numbers(examples) is None:
            return {"examples": len(examples)}
        return score_counts(examples.targets, span=self.score_span)

    # --- how good they are

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """Answers over scores, or the ranks of right passages, as a picture and a table."""
        report = report_scores if self.is_scored else report_ranks
        return report(outcomes, directory, metrics=self.metrics)
