"""Sequence to sequence: a text in, a text out, such as a translation or a text with its spaces."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf

from bert_tf.config import FinetuningConfig, ModelConfig, Section
from bert_tf.config.decoding import DecodingConfig
from bert_tf.data.parallel.reading import PairColumns, read_pairs
from bert_tf.data.tables.table import Table
from bert_tf.decoding.row_settings import RowSettings
from bert_tf.metrics import generated_texts as scores
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Objective
from bert_tf.tasks.base import Answers, Report, Signature, Task
from bert_tf.tasks.examples import TEXT, Examples
from bert_tf.tasks.pair_settings import MADE_BY, SequenceToSequenceSettings, encode_sides
from bert_tf.tasks.row_settings import RowSetting
from bert_tf.tasks.text_reports import report_texts
from bert_tf.tasks.written_texts import (
    GENERATED,
    N_BEST,
    SCORE,
    answers_of_search,
    sampled_settings,
    search_texts,
    with_texts,
)

if TYPE_CHECKING:
    import keras

    from bert_tf.data.batches.labelled import ExampleBatches
    from bert_tf.data.text.tokenizer import Tokenizer

WORDS_A_BIN = 10


class SequenceToSequence(Task):
    """A text from a text, by an encoder and a decoder.

    The loss is the cross-entropy of each target token given those before it; the answers are the
    texts that a search finds.

    Source: Sutskever et al. 2014; Vaswani et al. 2017.
    """

    name = "sequence_to_sequence"
    Settings = SequenceToSequenceSettings
    metrics: tuple[Metric, ...] = (scores.bleu(), scores.CHRF, scores.EXACT_MATCH)
    slice_metric = scores.CHRF
    answer_names = (GENERATED, SCORE)
    rounded_answers = (GENERATED, SCORE, *N_BEST, "num_answers", "has_ended")
    has_class_names = False
    default_fields: ClassVar = {"text_field": "source", "label_field": "target"}

    def __init__(self, settings: Section | None = None, *, name: str | None = None) -> None:
        super().__init__(settings, name=name)
        given = self.settings
        self.bleu_options: dict[str, Any] = {
            "tokenizer": given.bleu_tokenizer,
            "lower_case": given.bleu_lower_case,
        }
        first = (scores.SPACE_F1,) if given.pairs == "spacing" else ()
        self.metrics = (
            *first,
            scores.bleu(**self.bleu_options),
            scores.CHRF,
            scores.EXACT_MATCH,
        )

    # --- examples

    def with_default_fields(self, section: FinetuningConfig) -> FinetuningConfig:
        """Of what is made of one column the settings' own."""
        is_made = self.settings.pairs != "columns"
        return section if is_made else super().with_default_fields(section)

    def read(self, table: Table, section: FinetuningConfig) -> Examples:
        section = self.with_default_fields(section)
        if section.text_pair_field is not None:
            raise ValueError(
                "finetuning.text_pair_field must be left out: the target is in "
                f"finetuning.label_field. Received: {section.text_pair_field!r}."
            )
        if (section.max_windows or 1) > 1:
            raise ValueError(
                "finetuning.max_windows must be 1 or left out: a decoder reads one row. Received: "
                f"{section.max_windows}. Raise finetuning.max_seq_length for longer texts."
            )
        has_two = self.settings.pairs == "columns"
        found = read_pairs(
            table,
            PairColumns(
                source_field=section.text_field,
                target_field=section.label_field if has_two else section.text_field,
                made_by=MADE_BY[self.settings.pairs],
                faults=self.settings.faults,
            ),
        )
        # What is masked of a text is drawn in each epoch: until then it is whole.
        sources = found.targets if self.settings.pairs == "infilling" else found.sources
        return Examples(found.table, {TEXT: sources}, found.targets)

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """How many words targets have, in bins."""
        bins = Counter(len(target.split()) // WORDS_A_BIN for target in examples.targets)
        return {
            f"{WORDS_A_BIN * it}-{WORDS_A_BIN * (it + 1) - 1} words": count
            for it, count in sorted(bins.items())
        }

    def learn(self, train: Examples) -> dict[str, Any]:
        return {"task_state": self.state(), "has_pooler": False}

    def learn_prepared(self, directory: Path) -> dict[str, Any]:
        from bert_tf.data.records.parallel_manifest import read_parallel_manifest

        wanted, found = MADE_BY[self.settings.pairs], read_parallel_manifest(directory).made_by
        if found != wanted:
            raise ValueError(
                f"{directory}: records must be made with parallel.made_by={wanted} for "
                f"finetuning.task.pairs={self.settings.pairs}. Received: {found}. Prepare them "
                "again, or change one of the two."
            )
        return {"task_state": self.state(), "has_pooler": False}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        """Any text will do as a target."""

    def encode(
        self, examples: Examples, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> Any:
        from bert_tf.data.batches.encoded_pairs import HeldTokens

        targets = HeldTokens.of(examples.targets, tokenizer)
        sources = targets
        if self.settings.pairs != "infilling":
            sources = HeldTokens.of(examples.inputs[TEXT], tokenizer)
        return encode_sides(
            sources, targets, self.settings, description, tokenizer, where=examples.where
        )

    def encode_prepared(
        self, directory: Path, description: ModelDescription, *, tokenizer: "Tokenizer"
    ) -> Any:
        from bert_tf.data.batches.recorded_pairs import open_recorded_pairs

        found = open_recorded_pairs(directory, "train", tokenizer=tokenizer)
        sides = (found.sources, found.targets)
        return encode_sides(*sides, self.settings, description, tokenizer, where=found.where)

    def batches(
        self,
        encoded: Any,
        *,
        batch_size: int,
        group_by_length: bool = False,
        num_parts: int = 1,
    ) -> "ExampleBatches":
        """By `batch_tokens`, always grouped by length."""
        from bert_tf.data.batches.parallel import BudgetedBatches

        return BudgetedBatches(encoded, self.settings.batch_tokens, num_parts)

    # --- the model

    def architecture(self, wanted: ModelConfig, stored: ModelConfig) -> ModelConfig:
        """Of another model of the task, or of an encoder with a decoder like it."""
        if not stored.num_decoder_layers:
            stored = stored.model_copy(update={"num_decoder_layers": stored.num_hidden_layers})
        return super().architecture(wanted, stored)

    def load_pretrained(self, model: "keras.Model", directory: str | Path) -> None:
        """All weights of another model of the task; of an encoder see `start_from_encoder`."""
        from bert_tf.models.description import load_description
        from bert_tf.models.folder import load_weights
        from bert_tf.models.warm_start import start_from_encoder
        from bert_tf.tasks.models import load_model

        if load_description(directory).architecture.num_decoder_layers:
            load_weights(model, directory)
        else:
            start_from_encoder(model, load_model(directory).encoder)

    def make_model(
        self, description: ModelDescription, *, dtype: str, rematerialize: bool
    ) -> "keras.Model":
        from bert_tf.models.sequence_to_sequence import EncoderDecoder

        architecture = description.architecture
        longest = max(
            self.settings.max_target_length or description.max_seq_length,
            self.decoding(description).max_length,
        )
        if not architecture.num_decoder_layers:
            raise ValueError(
                "model.num_decoder_layers must be above 0 for sequence_to_sequence. Received: 0. "
                "Set it, or take a size such as model.size=transformer_tiny."
            )
        if longest > architecture.max_position_embeddings:
            raise ValueError(
                "finetuning.task.decoding.max_length and max_target_length must be at most "
                f"max_position_embeddings, {architecture.max_position_embeddings}. Received: "
                f"{longest}. Lower them, or raise model.max_position_embeddings."
            )
        model = EncoderDecoder(architecture, rematerialize=rematerialize, dtype=dtype)
        model.build({})
        return model

    def objective(self, description: ModelDescription) -> Objective:
        from bert_tf.models.objective import SequenceToSequenceObjective

        return SequenceToSequenceObjective(label_smoothing=self.settings.label_smoothing)

    def num_outputs(self, description: ModelDescription) -> int:
        return 0

    def head_flops(self, description: ModelDescription) -> float:
        """None: decoder and output are counted with the model's layers."""
        return 0.0

    # --- answers

    def decoding(self, description: ModelDescription) -> DecodingConfig:
        """How texts are written: unless it is set, no longer than the model has positions."""
        decoding: DecodingConfig = self.settings.decoding
        if "max_length" in decoding.model_fields_set:
            return decoding
        longest = min(decoding.max_length, description.architecture.max_position_embeddings)
        return decoding.model_copy(update={"max_length": longest})

    def predict(
        self,
        model: "keras.Model",
        inputs: Mapping[str, tf.Tensor],
        description: ModelDescription,
        *,
        tokenizer: "Tokenizer",
    ) -> dict[str, tf.Tensor]:
        """See `written_texts.search_texts`."""
        return search_texts(model, inputs, decoding=self.decoding(description), tokenizer=tokenizer)

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """See `written_texts.answers_of_search`."""
        return answers_of_search(outputs)

    def written(
        self, answers: dict[str, tf.Tensor], *, tokenizer: "Tokenizer"
    ) -> dict[str, tf.Tensor]:
        """See `written_texts.with_texts`."""
        return with_texts(answers, tokenizer=tokenizer)

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if not set(self.answer_names) <= answers.keys():
            raise ValueError(
                f"A model of the task `{self.name}` must answer with a text. Received: "
                f"{', '.join(sorted(answers))}. Give a model of that task."
            )
        return scores.text_outcomes(
            examples.targets,
            predictions=[text.decode() for text in answers[GENERATED]],
            sources=examples.inputs[TEXT],
        )

    # --- how good they are

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        """By the length of the source."""
        return scores.by_source_length(outcomes)

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """By the length of the source a picture and a table; the best and the worst texts."""
        return report_texts(
            outcomes,
            directory,
            metric=self.metrics[0],
            signatures=scores.signatures(**self.bleu_options),
        )

    # --- served

    def input_names(self, description: ModelDescription) -> tuple[str, ...]:
        return (TEXT,)

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        default = {"serving_default": Signature()}
        if not self.row_settings(description):
            return default
        return {
            **default,
            "sample": Signature(settings="taken"),
            "sample_settings": Signature(settings="told"),
        }

    def row_settings(self, description: ModelDescription) -> Mapping[str, RowSetting]:
        """Of samples what is drawn; greedy and beam search have nothing of the kind."""
        return sampled_settings(self.decoding(description))

    def setting_faults(
        self, settings: Mapping[str, tf.Tensor]
    ) -> list[tuple[tf.Tensor, tf.Tensor]]:
        return RowSettings(**settings).faults()

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        """Of two texts as good as each other either may be written."""
        if abs(received[SCORE] - expected[SCORE]) <= tolerance:
            return None
        return f"{_shown(expected)} is answered with {_shown(received)}"

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        decoding = self.decoding(description)
        how = {
            "beam": f"beam search of {decoding.beam_size}",
            "greedy": "greedy search",
            "sample": "sampling",
        }[decoding.method]
        return [f"Writes a text of at most {decoding.max_length} tokens, by {how}."]


def _shown(answer: Mapping[str, Any]) -> str:
    text = answer[GENERATED]
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return f"{text!r:.80} ({float(answer[SCORE]):.4f})"
