"""Token labels: what the words or parts of a text are, such as names, places, parts of speech."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.data.batches.labelled_tokens import UnitKind, encode_tokens
from bert_tf.data.tables.table import Table
from bert_tf.data.text.sentences import replace_invalid_utf8
from bert_tf.data.token_labels.reading import read_labelled_texts
from bert_tf.data.token_labels.schemes import Scheme as DataScheme
from bert_tf.data.token_labels.spans import Span
from bert_tf.layers.tensorflow.crf import log_likelihood
from bert_tf.metrics import entities as scores
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_confusion_matrix, draw_label_bars
from bert_tf.metrics.spans import span_outcomes
from bert_tf.metrics.tables import markdown_table
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Batch, Objective, Sums, weighted_cross_entropy
from bert_tf.system.files import write_whole
from bert_tf.system.listing import listed
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Answers, ForeignHead, Report, Signature, Task
from bert_tf.tasks.entities import (
    NAMES,
    entities_of,
    scored_spans,
    spans_of,
    tags_of,
    units_of,
)
from bert_tf.tasks.examples import NO_LABEL, TEXT, Examples, check_targets, sorted_names
from bert_tf.tasks.tag_set import Scheme, TagSet
from bert_tf.tasks.text_parts import parts_of_texts
from bert_tf.tasks.texts import limits_of, name_order
from bert_tf.tasks.unit_tags import tag_units

if TYPE_CHECKING:
    import keras

    from bert_tf.data.batches.labelled import Encoded
    from bert_tf.data.text.tokenizer import Tokenizer

PICTURE_FILE, CONFUSION_FILE, TABLE_FILE = "labels.png", "confusion_matrix.png", "labels.md"


class TokenLabelsSettings(Section):
    """Beside `finetuning.task.name`."""

    entities_field: str | None = "entities"
    """The column of labelled parts of `finetuning.text_field`: a list of `start`, `end`, `label`,
    in characters (code points), the end not included."""
    tokens_field: str | None = "tokens"
    """In the place of texts: the column of their words, a list a row, beside `tags_field`."""
    tags_field: str | None = "tags"
    scheme: DataScheme | Literal["auto"] = "auto"
    """What the tags are written in; `auto`: what they look like."""
    broken_tags: Literal["repair", "refuse"] = "repair"
    """What becomes of tags that do not follow from one another, such as an I- behind O: they begin
    what they label, and are counted, or the text is at fault."""
    model_scheme: Scheme = "bio"
    """Of the model's own tags. `plain`: each unit by itself, as parts of speech."""
    units: UnitKind = "words"
    """What has a tag. `words`: the first piece of each word, between spaces and punctuation, which
    stands for all of it (Devlin et al. 2019, section 5.3). `spaced_words`: likewise, between spaces
    alone. `pieces`: every piece, where labels end inside of words, as in Korean."""
    crf: bool = False
    """Learn how likely each tag is behind each other one, and minimise the loss of whole sequences
    (a linear-chain CRF), in the place of tags apart from one another. Probabilities are those of
    all sequences then."""
    faults: Literal["error", "skip"] = "error"
    """What becomes of a text whose labels do not fit it: the run ends, or it is left out and
    counted."""


class TokenLabels(Task):
    """Labelled parts of a text: named entities, parts of speech, slots.

    The loss is the cross-entropy of the units' tags; answers are the likeliest sequence of tags
    that may follow one another, put together to parts of the text.

    Source: Devlin et al. 2019, section 5.3 and figure 4.
    """

    name = "token_labels"
    Settings = TokenLabelsSettings
    metrics = (
        scores.MICRO_F1,
        scores.MACRO_F1,
        scores.PRECISION,
        scores.RECALL,
        scores.EXACT_MATCH,
        scores.CHARACTER_MACRO_F1,
        scores.KLUE_CHARACTER_MACRO_F1,
    )
    slice_metric = scores.EXACT_MATCH
    answer_names = (*NAMES, "num_entities", "labels")
    constant_answers = ("labels",)
    rounded_answers = (*NAMES, "num_entities", "entity_texts")
    reads_offsets = True
    head_layout: str | None = "token_classification"
    foreign_head = ForeignHead("BertForTokenClassification", None)

    def __init__(self, settings: Section | None = None, *, name: str | None = None) -> None:
        super().__init__(settings, name=name)
        if self.settings.crf:
            self.head_layout = None  # no other library's model has the transitions

    # --- examples

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        if section.text_pair_field is not None:
            raise ValueError(
                "finetuning.text_pair_field must be left out: token labels are of one text. "
                f"Received: {section.text_pair_field!r}."
            )
        settings = self.settings
        found = read_labelled_texts(
            table,
            text_field=section.text_field,
            entities_field=settings.entities_field,
            tokens_field=settings.tokens_field,
            tags_field=settings.tags_field,
            faults=settings.faults,
            scheme=settings.scheme,
            broken_tags=settings.broken_tags,
            joined=section.table.joined,
        )
        return Examples(found.table, {TEXT: found.texts}, found.spans)

    def strata(self, examples: Examples) -> Sequence[Sequence[str]]:
        return _labels(examples)

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """Labelled parts of each label."""
        return dict(sorted(Counter(span.label for it in examples.targets for span in it).items()))

    def learn(self, train: Examples) -> dict[str, Any]:
        labels = sorted_names({span.label for spans in train.targets for span in spans})
        if not labels:
            raise ValueError(
                f"{train.where(0)}: at least one text must have a labelled part. Received: none "
                "has. Are finetuning.task.entities_field, or tokens_field and tags_field, the "
                "right columns?"
            )
        tag_set = TagSet.of_labels(labels, scheme=self.settings.model_scheme)
        return {"class_names": tag_set.tags, "task_state": self.state()}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        check_targets(examples, _labels(examples), known=self._tag_set(description).labels)

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> "Encoded":
        self.check(examples, description)
        return encode_tokens(
            examples.inputs[TEXT],
            lambda units: tag_units(units, examples.targets, self._tag_set(description)),
            kind=self.settings.units,
            tokenizer=tokenizer,
            limits=limits_of(description),
        )

    # --- the model

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.classifier import BertTokenLabeler

        return BertTokenLabeler.from_description(
            description,
            num_classes=self.num_outputs(description),
            dtype=dtype,
            rematerialize=rematerialize,
            has_transitions=self.settings.crf,
        )

    def objective(self, description: ModelDescription) -> Objective:
        if self.settings.crf:
            return SequenceObjective(self._tag_set(description))
        return TokenLabelsObjective()

    def head_flops(self, description: ModelDescription) -> float:
        """The dense layer at every position of the longest text."""
        width = description.architecture.hidden_size
        length = limits_of(description).document_length
        return 2.0 * width * self.num_outputs(description) * length

    # --- answers

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """See `entities.entities_of`; besides `labels`, string (batch, labels): all there are."""
        tag_set = self._tag_set(description)
        units = units_of(
            outputs["logits"],
            starts=outputs["token_starts"],
            ends=outputs["token_ends"],
            begins_word=outputs["begins_word"],
            kind=self.settings.units,
        )
        transitions = None
        if self.settings.crf:  # the same of all texts, of which there may be none
            transitions = tf.pad(outputs["transitions"], [[0, 1], [0, 0], [0, 0]])[0]
        found = entities_of(units, tags_of(units.logits, tag_set, transitions), tag_set)
        labels = tf.constant(tag_set.labels)[tf.newaxis]
        return {**found, "labels": tf.repeat(labels, tf.shape(outputs["logits"])[0], axis=0)}

    def about_texts(
        self, answers: dict[str, tf.Tensor], texts: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """`entity_texts`, string (batch, most of one text), beside the answers."""
        text = replace_invalid_utf8(texts[TEXT])
        found = parts_of_texts(text, answers["entity_starts"], answers["entity_ends"])
        return {**answers, "entity_texts": found}

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if not set(self.answer_names) <= answers.keys():
            raise ValueError(
                f"A model of the task `{self.name}` must answer with entities. Received: "
                f"{', '.join(sorted(answers))}. Give a model of that task."
            )
        names = tuple(name.decode() for name in answers["labels"][0])
        check_targets(examples, _labels(examples), known=names)
        return span_outcomes(
            examples.targets,
            predictions=spans_of(answers),
            texts=examples.inputs[TEXT],
            names=names,
        )

    def aligned(self, outcomes: Outcomes, other: Outcomes) -> Outcomes:
        name_order(outcomes, other, what="labels")  # raises
        return dataclasses.replace(outcomes, names=other.names)

    # --- how good they are

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        """Texts with at least one part of a label; of those without any."""
        rows: dict[str, list[int]] = {f"label {name}": [] for name in outcomes.names}
        rows[NO_LABEL] = []
        for row, spans in enumerate(outcomes.targets):
            for name in {f"label {label}" for _, _, label in spans} or {NO_LABEL}:
                rows[name].append(row)
        return {name: np.array(own, int) for name, own in rows.items()}

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """Each label's F1, and which are taken for which, as pictures and as tables."""
        rows = scores.label_rows(outcomes)
        micro_f1 = scores.MICRO_F1.score(outcomes, None)
        title = f"micro-F1 {micro_f1:.3f} on {len(outcomes):,} texts"
        are_drawn = {
            PICTURE_FILE: try_to_draw(
                draw_label_bars, rows, directory / PICTURE_FILE, title=title, counted="spans"
            ),
            CONFUSION_FILE: try_to_draw(
                draw_confusion_matrix,
                scores.confusions(outcomes),
                outcomes.names,
                directory / CONFUSION_FILE,
                title="labels of parts that are found with the right start and end",
            ),
        }
        tables = [markdown_table(rows)]
        if confused := scores.confusion_rows(outcomes):
            tables.append(markdown_table(confused))
        write_whole(directory / TABLE_FILE, "\n\n".join(tables) + "\n")
        return Report(
            files=(*(name for name, is_there in are_drawn.items() if is_there), TABLE_FILE)
        )

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (TEXT,)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        return {
            "serving_default": Signature(gives=_without_padding),
            "token_ids": Signature("token_ids", _without_padding),
        }

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        wanted, given = (scored_spans(answer) for answer in (expected, received))
        if wanted.keys() == given.keys() and all(
            abs(wanted[it] - given[it]) <= tolerance for it in wanted
        ):
            return None
        return f"{_described(wanted)} is answered with {_described(given)}"

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        return [f"Labels: {listed(self._tag_set(description).labels, max_items=50)}."]

    def _tag_set(self, description: ModelDescription) -> TagSet:
        return TagSet(description.class_names, self.settings.model_scheme)


class TokenLabelsObjective:
    """Cross-entropy of the tag of each unit."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"token_labels": tf.reduce_sum(self._weights(batch))}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        loss, correct = weighted_cross_entropy(
            outputs["logits"], batch["labels"], self._weights(batch)
        )
        return Sums(loss={"token_labels": loss}, correct={"token_labels": correct})

    def _weights(self, batch: Batch) -> tf.Tensor:
        """float32 (batch, length)."""
        return batch["label_weights"] * batch["weights"][:, tf.newaxis]


class SequenceObjective(TokenLabelsObjective):
    """Negative log-likelihood of each text's tags as one sequence, of those that are valid.

    Its weight is that of its units, so that the loss is of a unit, as without transitions.
    """

    def __init__(self, tag_set: TagSet) -> None:
        self._penalties = tag_set.penalties()

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        is_unit = batch["label_weights"] > 0
        num_tags = outputs["logits"].shape[-1]
        logits = tf.cast(outputs["logits"], tf.float32)
        scores = tf.ragged.boolean_mask(logits, is_unit).to_tensor(shape=[None, None, num_tags])
        tags = tf.ragged.boolean_mask(batch["labels"], is_unit).to_tensor()
        lengths = tf.reduce_sum(tf.cast(is_unit, tf.int32), axis=1)
        # A column, where no text has a unit.
        found = log_likelihood(
            tf.pad(scores, [[0, 0], [0, 1], [0, 0]]),
            tf.pad(tags, [[0, 0], [0, 1]]),
            lengths,
            outputs["transitions"][0] + self._penalties,
        )
        correct = super().sums(outputs, batch).correct
        loss = -tf.reduce_sum(found * batch["weights"])
        return Sums(loss={"token_labels": loss}, correct=correct)


def _without_padding(answers: dict[str, Any]) -> dict[str, Any]:
    """As many columns of entities as one of the texts has."""
    most = tf.reduce_max(tf.pad(answers["num_entities"], [[0, 1]]))
    return {name: value[:, :most] if name in NAMES else value for name, value in answers.items()}


def _labels(examples: Examples) -> list[list[str]]:
    """Of each example those that it has, each once."""
    return [sorted({span.label for span in spans}) for spans in examples.targets]


def _described(spans: Iterable[Span]) -> str:
    return listed(map(str, spans)) or "no entity"
