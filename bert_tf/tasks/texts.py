"""What tasks of one text or a pair of texts share: reading, encoding, the head on the encoder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bert_tf.config import FinetuningConfig
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import texts_of
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.models.flops import classifier_flops
from bert_tf.system.listing import listed, listed_unlike
from bert_tf.system.lookalikes import alike_hints
from bert_tf.tasks.base import ForeignHead, Signature, Task
from bert_tf.tasks.examples import TEXT, TEXT_PAIR, Examples

if TYPE_CHECKING:
    import keras

    from bert_tf.data.batches.labelled import Encoded
    from bert_tf.data.text.tokenizer import Tokenizer
    from bert_tf.data.text.windows import TextLimits

LABEL_KEY = "finetuning.label_field"
SEQUENCE_CLASSIFIER = "BertForSequenceClassification"
"""Hugging Face's class of a head on the pooled output."""


class TextTask(Task):
    """A task that scores a text, or a pair, by a head on the pooled first token.

    A task made from it says what its targets are (`read_targets`, `targets`), how many outputs its
    head has (`num_outputs`) and what `Task` asks for besides.

    Source: Devlin et al. 2019, section 4.1 and figure 4.
    """

    head_layout = "classification"

    # --- examples

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        inputs = {TEXT: texts_of(table, section.text_field, key="finetuning.text_field")}
        if section.text_pair_field is not None:
            key = "finetuning.text_pair_field"
            inputs[TEXT_PAIR] = texts_of(table, section.text_pair_field, key=key)
        self._check_fields(section)
        return Examples(table, inputs, self.read_targets(table, section))

    def _check_fields(self, section: FinetuningConfig) -> None:
        """Raise ValueError if targets would be read from a column of texts."""
        of_labels = getattr(self.settings, "label_fields", ()) or (section.label_field,)
        for field in of_labels:
            if field in (section.text_field, section.text_pair_field):
                raise ValueError(
                    f"{LABEL_KEY} must name another column than the texts'. Received: {field!r} "
                    "for both. Set it to the column of the labels."
                )

    def read_targets(self, table: Table, section: FinetuningConfig) -> Sequence[Any]:
        """A target a row. Raises ValueError with the place of one that is none."""
        raise NotImplementedError

    def targets(
        self, examples: Examples, description: ModelDescription
    ) -> Mapping[str, np.ndarray]:
        """What a batch has beside the texts: names to arrays (examples, ...), for the objective."""
        raise NotImplementedError

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> "Encoded":
        from bert_tf.data.batches.labelled import encode_texts

        self.check(examples, description)
        return encode_texts(
            examples.inputs[TEXT],
            examples.inputs.get(TEXT_PAIR),
            targets=self.targets(examples, description),
            tokenizer=tokenizer,
            limits=limits_of(description),
        )

    # --- the model

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.classifier import BertClassifier

        return BertClassifier.from_description(
            description,
            num_classes=self.num_outputs(description),
            dtype=dtype,
            rematerialize=rematerialize,
        )

    def head_flops(self, description: ModelDescription) -> float:
        """Pooler and dense layer."""
        num_outputs = self.num_outputs(description)
        return classifier_flops(description.architecture, num_outputs=num_outputs)

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (TEXT, TEXT_PAIR) if description.has_text_pairs else (TEXT,)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        return {"serving_default": Signature(), "token_ids": Signature(takes="token_ids")}


def limits_of(description: ModelDescription) -> "TextLimits":
    """How much of a text a model reads."""
    from bert_tf.data.text.windows import TextLimits

    return TextLimits(
        description.max_seq_length, description.max_windows, description.window_stride
    )


def _as_classification(answers: dict[str, Any]) -> dict[str, Any]:
    return {"classes": answers["labels"], "scores": answers["probabilities"]}


CLASSIFY = Signature("examples", _as_classification, "classify")
"""Of a task that answers with `labels` and their `probabilities`."""


def values_by_name(
    given: Mapping[str, float], names: Sequence[str], *, default: float, key: str, what: str
) -> list[float]:
    """A setting that is given by name, in the order of `names`.

    Raises:
        ValueError: a name is none of `names`, the training data's `what` (classes, labels).
    """
    if unknown := sorted(set(given) - set(names)):
        raise ValueError(
            f"{key} must name {what} of the training data: {listed(names)}. Received: "
            f"{listed(unknown)}. Take these out."
            f"{alike_hints(unknown, names)}"
        )
    return [float(given.get(name, default)) for name in names]


def name_order(outcomes: Outcomes, other: Outcomes, *, what: str) -> list[int]:
    """Where the names of `other` stand among those of `outcomes`.

    Raises:
        ValueError: they have other names (`what`: classes, labels).
    """
    if sorted(outcomes.names) != sorted(other.names):
        raise ValueError(
            f"Both models must have the same {what}. Received: "
            f"{listed_unlike(other.names, outcomes.names)} and "
            f"{listed_unlike(outcomes.names, other.names)}. Register a model of other {what} under "
            f"another name.{alike_hints(outcomes.names, other.names)}"
        )
    places = {name: place for place, name in enumerate(outcomes.names)}
    return [places[name] for name in other.names]


def sequence_head(problem_type: str | None) -> ForeignHead:
    """A head on the pooled output as Hugging Face names it."""
    return ForeignHead(SEQUENCE_CLASSIFIER, problem_type)
