"""Reranking: how well a passage answers a query, read together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pydantic
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.config.section import ColumnName
from bert_tf.data.tables.table import Table
from bert_tf.metrics import embeddings as ranks
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.models.flops import classifier_flops
from bert_tf.models.objective import Objective
from bert_tf.models.reranker import RerankingLoss
from bert_tf.tasks.base import Answers, Signature
from bert_tf.tasks.embedding_rows import TextColumns
from bert_tf.tasks.examples import TEXT, TEXT_PAIR, Examples
from bert_tf.tasks.ranking import RankingTask
from bert_tf.tasks.texts import sequence_head

if TYPE_CHECKING:
    import keras

    from bert_tf.data.text.tokenizer import Tokenizer

SCORE = "score"


class RerankerSettings(Section):
    """Beside `finetuning.task.name`."""

    loss: RerankingLoss = "listwise"
    """`listwise` and `pairwise` tell the passage in `text_pair_field` from those of
    `negative_fields`; `pointwise` says of each whether it is right, or learns the score in
    `finetuning.label_field` where no negatives are named."""
    negative_fields: tuple[ColumnName, ...] = ()
    """Columns of passages that do not answer the query, such as mined ones; a row may lack some."""
    score_range: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest score there is: they are taken as 0 and 1."""
    faults: Literal["error", "skip"] = "error"
    """What becomes of a row with an empty text, or with one text twice: the run ends, or it is left
    out and told."""

    @pydantic.model_validator(mode="after")
    def _has_what_the_loss_reads(self) -> Self:
        if self.loss != "pointwise" and not self.negative_fields:
            raise ValueError(
                f"negative_fields must name columns for loss={self.loss}. Received: none. Name "
                "some (`bert-tf mine-negatives` finds such passages), or set loss=pointwise and "
                "give scores."
            )
        least, greatest = self.score_range
        if not least < greatest:
            raise ValueError(
                "score_range must be the least and then the greatest score. Received: "
                f"{least:g} and {greatest:g}. Swap them."
            )
        return self


class Reranker(RankingTask):
    """A score for a query and a passage, by a head on both as a pair.

    An example is a query with its right passage and wrong ones, or with one passage and a score.

    Source: Nogueira and Cho 2019; `models.reranker` has those of the losses.
    """

    name = "reranker"
    Settings = RerankerSettings
    rank_metrics = (ranks.NDCG, ranks.MRR, ranks.recall_at(1))
    answer_names = (SCORE,)
    head_layout = "classification"
    foreign_head = sequence_head(None)

    @property
    def is_scored(self) -> bool:
        return not self.settings.negative_fields

    @property
    def score_span(self) -> tuple[float, float]:
        span: tuple[float, float] = self.settings.score_range
        return span

    # --- examples

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        if section.text_pair_field is None or (section.max_windows or 1) > 1:
            raise ValueError(
                "finetuning.text_pair_field must name the passages, and max_windows must be 1: a "
                "query and a passage are one row. Received: "
                f"{section.text_pair_field!r} and {section.max_windows or 1}. Change them."
            )
        columns = TextColumns(
            section.text_field,
            section.text_pair_field,
            self.settings.negative_fields,
            section.label_field if self.is_scored else None,
        )
        return self.read_columns(table, columns, span=self.score_span)

    def parts_of_rows(self, examples: Examples) -> list[list[list[str]]]:
        queries, *passages = examples.inputs.values()
        return [[[query] for query in queries], [list(it) for it in zip(*passages, strict=True)]]

    def learn(self, train: Examples) -> dict[str, Any]:
        return {"task_state": self.state()}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        """Every example has passages of its own: `read` has looked at them."""

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> Any:
        """See `labelled_groups.EncodedPairs`, with `scores`, float32, where there are some."""
        from bert_tf.data.batches.labelled_groups import encode_pairs

        targets = {}
        if (numbers := self.target_numbers(examples)) is not None and len(numbers):
            least, greatest = self.settings.score_range
            targets["scores"] = ((numbers - least) / (greatest - least)).astype(np.float32)
        return encode_pairs(
            [[text or None for text in texts] for texts in examples.inputs.values()],
            targets=targets,
            tokenizer=tokenizer,
            max_seq_length=description.max_seq_length,
        )

    def asked(self, examples: Examples) -> Mapping[str, Sequence[str]]:
        """All queries with their first passages, then with their second ones, and so on."""
        queries, *passages = examples.inputs.values()
        return {
            TEXT: [*queries] * len(passages),
            TEXT_PAIR: [text for texts in passages for text in texts],
        }

    # --- the model

    def num_outputs(self, description: ModelDescription) -> int:
        return 1

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.reranker import BertReranker

        return BertReranker.from_description(
            description, num_classes=1, dtype=dtype, rematerialize=rematerialize
        )

    def objective(self, description: ModelDescription) -> Objective:
        from bert_tf.models.reranker import RerankingObjective

        return RerankingObjective(self.settings.loss)

    def head_flops(self, description: ModelDescription) -> float:
        """Pooler and score of a row, which is a pair."""
        return classifier_flops(description.architecture, num_outputs=1)

    # --- answers

    def predict(
        self,
        model: "keras.Model",
        inputs: Mapping[str, tf.Tensor],
        description: ModelDescription,
        *,
        tokenizer: "Tokenizer",
    ) -> tf.Tensor:
        """Logits, (rows), or (queries, passages) of several passages each."""
        logits = model(inputs, training=False)
        return logits[:, 0] if len(inputs["input_ids"].shape) == 2 else logits

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """`score`, from 0 to 1, of the shape of the logits."""
        return {SCORE: tf.sigmoid(outputs)}

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if set(answers) != {SCORE}:
            raise ValueError(
                f"A model of the task `{self.name}` must answer with a score alone. Received: "
                f"{', '.join(sorted(answers))}. Give a model of that task."
            )
        found = np.asarray(answers[SCORE], np.float64)
        if found.ndim == 1:  # of the rows of `asked`
            found = found.reshape(-1, len(examples)).T
        if (numbers := self.target_numbers(examples)) is not None:
            return Outcomes(targets=numbers, predictions=found[:, 0])
        passages = list(examples.inputs.values())[1:]
        is_there = np.array([[bool(text) for text in texts] for texts in passages]).T
        is_before = is_there & (found >= found[:, :1])  # of equals the right one is the last
        places = is_before.sum(axis=1)
        return Outcomes(targets=np.ones_like(places), predictions=places)

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (TEXT, TEXT_PAIR)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        return {"serving_default": Signature(), "token_ids": Signature(takes="token_ids")}

    def is_answer(self, outputs: Mapping[str, Any]) -> bool:
        return set(outputs) == {SCORE}

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        wanted, given = float(expected[SCORE]), float(received[SCORE])
        if abs(wanted - given) <= tolerance:
            return None
        return f"{wanted:.4f} is answered with {given:.4f}"

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        return ["Says from 0 to 1 how well the second text answers the first."]
