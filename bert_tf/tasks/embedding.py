"""Embedding: a vector a text, so that texts which belong together are near each other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from bert_tf.config import FinetuningConfig
from bert_tf.data.inspection.text_profile import Moved
from bert_tf.data.tables.splitting import text_key
from bert_tf.data.tables.table import Table
from bert_tf.metrics import embeddings as scores
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Objective
from bert_tf.tasks.base import Answers, Signature
from bert_tf.tasks.embedding_rows import TextColumns, read_embeddings
from bert_tf.tasks.embedding_settings import OF_SCORES, OF_SINGLE_TEXTS, EmbeddingSettings
from bert_tf.tasks.examples import TEXT, Examples
from bert_tf.tasks.ranking import RankingTask
from bert_tf.tasks.score_counts import compare_score_counts

if TYPE_CHECKING:
    import keras

    from bert_tf.data.text.tokenizer import Tokenizer

EMBEDDING, TEACHER = "embedding", "teacher"
TEACHER_KEY = "finetuning.task.teacher_field"
_HELD_OUT_KEYS = tuple(
    f"finetuning.task.held_out.{name}" for name in ("text_field", "text_pair_field", "label_field")
)


class Embedding(RankingTask):
    """Vectors of texts, trained on pairs, triplets, scored pairs or single texts.

    An example has several texts, each a row of the model's. Its targets are numbers where pairs are
    scored, or a teacher's embeddings; otherwise there are none.

    Source: Reimers and Gurevych 2019; `models.contrastive` has those of the losses.
    """

    name = "embedding"
    Settings = EmbeddingSettings
    rank_metrics = (scores.NDCG, scores.MRR, scores.recall_at(1), scores.recall_at(scores.CUT))
    answer_names = (EMBEDDING,)
    head_layout = "encoder"

    @property
    def is_scored(self) -> bool:
        is_scored: bool = self.settings.is_scored_held_out
        return is_scored

    # --- examples

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        settings = self.settings
        if (section.max_windows or 1) > 1:
            raise ValueError(
                "finetuning.max_windows must be 1 or left out: an embedding is made of one row. "
                f"Received: {section.max_windows}. Raise finetuning.max_seq_length."
            )
        is_single = settings.loss in OF_SINGLE_TEXTS
        if not is_single and section.text_pair_field is None:
            raise ValueError(
                f"finetuning.text_pair_field must name the second texts for loss={settings.loss}. "
                "Received: none. Set it, or train on single texts with finetuning.task.loss=simcse."
            )
        columns = TextColumns(
            section.text_field,
            None if is_single else section.text_pair_field,
            settings.negative_fields,
            section.label_field if settings.loss in OF_SCORES else None,
        )
        found = self._read(table, columns)
        if settings.loss == "distillation":
            teacher = read_embeddings(found.table, settings.teacher_field, key=TEACHER_KEY)
            return Examples(found.table, found.inputs, teacher)
        return found

    def read_held_out(self, table: Table, section: FinetuningConfig) -> Examples:
        held_out = self.settings.held_out
        if held_out is None:
            return self.read(table, section)
        columns = TextColumns(
            held_out.text_field,
            held_out.text_pair_field,
            score=held_out.label_field,
            keys=_HELD_OUT_KEYS,  # type: ignore[arg-type]  # of three names
        )
        return self._read(table, columns)

    def _read(self, table: Table, columns: TextColumns) -> Examples:
        span = self.settings.score_range if self.settings.loss == "cosine" else None
        return self.read_columns(table, columns, span=span)

    def parts_of_rows(self, examples: Examples) -> list[list[list[str]]]:
        return [[list(texts) for texts in zip(*examples.inputs.values(), strict=True)]]

    def compare_targets(self, before: Mapping[str, int], now: Mapping[str, int]) -> Moved:
        is_scored = "examples" not in {*before, *now}
        compare = compare_score_counts if is_scored else super().compare_targets
        return compare(before, now)

    def inherited(self, stored: ModelDescription | None) -> dict[str, Any]:
        """How texts are pooled."""
        has_own = stored is not None and stored.kind in (self.name, self.head_layout)
        pooling, normalize = "mean", False
        if stored is not None and has_own:
            pooling, normalize = stored.pooling, stored.normalize_embeddings
        if self.settings.normalize is not None:
            normalize = self.settings.normalize
        pooling = self.settings.pooling or pooling
        return {
            "pooling": pooling,
            "normalize_embeddings": normalize,
            "has_pooler": pooling == "pooler",
        }

    def learn(self, train: Examples) -> dict[str, Any]:
        return {"task_state": self.state()}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        width = description.architecture.hidden_size
        widths = {*self.settings.matryoshka, self.settings.dimensions or 1}
        if max(widths) > width:
            raise ValueError(
                "finetuning.task.matryoshka and dimensions must be at most the model's hidden_size,"
                f" {width}. Received: {max(widths)}. Lower them."
            )
        if self._has_teacher(examples) and len(examples.targets[0]) != width:
            raise ValueError(
                f"{examples.where(0)}: the teacher's embeddings must be as wide as the model's, "
                f"{width}. Received: {len(examples.targets[0])}. Take a model of that hidden_size, "
                "or reduce the teacher's embeddings to it."
            )

    @staticmethod
    def _has_teacher(examples: Examples) -> bool:
        return len(examples) > 0 and isinstance(examples.targets[0], tuple)

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> Any:
        """See `labelled_groups.EncodedGroups`, with `scores` or `teacher`, float32."""
        from bert_tf.data.batches.labelled_groups import encode_groups

        self.check(examples, description)
        columns = list(examples.inputs.values())
        targets: dict[str, np.ndarray] = {}
        if (numbers := self.target_numbers(examples)) is not None and len(numbers):
            least, greatest = self.settings.score_range
            if self.settings.loss == "cosine":
                numbers = (numbers - least) / (greatest - least)
            targets["scores"] = numbers.astype(np.float32)
        elif self._has_teacher(examples):
            targets[TEACHER] = np.asarray(examples.targets, np.float32)
        elif len(columns) == 1:  # its own positive
            columns *= 2
        return encode_groups(
            [[text or None for text in texts] for texts in columns],
            prefixes=self._prefixes(len(columns)),
            targets=targets,
            tokenizer=tokenizer,
            max_seq_length=description.max_seq_length,
        )

    def _prefixes(self, num_columns: int) -> list[str]:
        settings = self.settings
        of_others = settings.query_prefix if settings.loss == "simcse" else settings.passage_prefix
        return [settings.query_prefix, *[of_others] * (num_columns - 1)]

    def asked(self, examples: Examples) -> Mapping[str, Sequence[str]]:
        """All first texts, then all second ones, and so on, with their prefixes."""
        columns = examples.inputs.values()
        return {
            TEXT: [
                prefix + text
                for prefix, texts in zip(self._prefixes(len(columns)), columns, strict=True)
                for text in texts
            ]
        }

    # --- the model

    def num_outputs(self, description: ModelDescription) -> int:
        return 0

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.embedder import BertEmbedder

        return BertEmbedder.from_description(description, dtype=dtype, rematerialize=rematerialize)

    def objective(self, description: ModelDescription) -> Objective:
        objective: Objective = self.settings.objective()
        return objective

    def head_flops(self, description: ModelDescription) -> float:
        """None: what is computed of the outputs is not counted."""
        return 0.0

    # --- answers

    def predict(
        self,
        model: "keras.Model",
        inputs: Mapping[str, tf.Tensor],
        description: ModelDescription,
        *,
        tokenizer: "Tokenizer",
    ) -> dict[str, tf.Tensor]:
        """`embedding`, float32 (batch, width), or (batch, texts, width) of several."""
        return {EMBEDDING: model(inputs, training=False)[EMBEDDING]}

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """`embedding`, cut to `dimensions`."""
        embedding = outputs[EMBEDDING]
        if self.settings.dimensions is not None:
            embedding = tf.math.l2_normalize(embedding[..., : self.settings.dimensions], axis=-1)
        return {EMBEDDING: embedding}

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        vectors = self._vectors(examples, answers)
        if (numbers := self.target_numbers(examples)) is not None:
            return Outcomes(
                targets=numbers, predictions=scores.cosines(vectors[:, 0], vectors[:, 1])
            )
        keys = [
            [text_key(text) if text else None for text in texts]
            for texts in examples.inputs.values()
        ]
        return scores.rank_outcomes(vectors, keys)

    def _vectors(self, examples: Examples, answers: Answers) -> np.ndarray:
        """(examples, texts, width), of answers to the texts of `asked` or to whole examples."""
        if EMBEDDING not in answers:
            raise ValueError(
                f"A model of the task `{self.name}` must answer with an embedding. Received: "
                f"{', '.join(sorted(answers))}. Give a model of that task."
            )
        vectors = np.asarray(answers[EMBEDDING], np.float64)
        num_texts = len(examples.inputs)
        if vectors.ndim == 2:
            vectors = vectors.reshape(num_texts, len(examples), -1).transpose(1, 0, 2)
        is_finite = np.isfinite(vectors).all(axis=(1, 2))
        if not is_finite.all():
            row = int(np.flatnonzero(~is_finite)[0])
            raise ValueError(
                f"{examples.where(row)}: embeddings must be finite numbers. Received: NaN or "
                f"infinity; in all {int((~is_finite).sum())} such examples. Train with a lower "
                "learning rate, or from an earlier checkpoint."
            )
        return vectors

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (TEXT,)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        """`serving_default` takes texts as they are; `embed_query`, `embed_passage` prefix them."""
        own = {"serving_default": Signature(), "token_ids": Signature(takes="token_ids")}
        prefixes = {"query": self.settings.query_prefix, "passage": self.settings.passage_prefix}
        if any(prefixes.values()):
            own |= {f"embed_{name}": Signature(prefix=it) for name, it in prefixes.items()}
        return own

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        """`tolerance` is of 1 - cosine."""
        pair = [np.asarray(it[EMBEDDING])[np.newaxis] for it in (expected, received)]
        cosine = float(scores.cosines(*pair)[0])
        is_none = not np.any(pair[0]) and not np.any(pair[1])  # of a row that is not answered
        if is_none or 1.0 - cosine <= tolerance:
            return None
        return f"an embedding is answered with one whose cosine to it is {cosine:.4f}"

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        width = self.settings.dimensions or description.architecture.hidden_size
        return [f"Gives an embedding of {width} numbers a text, pooled by {description.pooling}."]
