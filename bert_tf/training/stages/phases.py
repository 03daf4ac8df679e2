"""The section `pretraining` in, its phases out: each with its records, open, and its settings.

Without `pretraining.phases` there is one, of the section's own settings.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from bert_tf.config import (
    Config,
    MaskingConfig,
    OptimizerConfig,
    PhaseConfig,
    PretrainingTrainingConfig,
    required,
)
from bert_tf.data.batches.google_records import is_static
from bert_tf.data.batches.opened_records import OpenedRecords, open_prepared, open_static
from bert_tf.data.batches.row_packing import pack_batches
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.training.engine.loop import Phase


@dataclass(frozen=True, kw_only=True)
class OpenPhase:
    """A phase whose records are found and fit."""

    name: str
    """For messages: the key of its settings."""
    records: str
    """Where they are."""
    source: OpenedRecords
    num_steps: int
    training: PretrainingTrainingConfig
    masking: MaskingConfig
    seed: int
    """Of order and masks: other examples get other draws."""
    max_eval_steps: int | None
    schedule: OptimizerConfig | None

    def batches(self, strategy: tf.distribute.Strategy) -> Phase:
        """What the training loop needs of it."""
        options = {"batch_size": self.training.batch_size, "seed": self.seed}

        def train_batches(step: int, **worker: int) -> tf.data.Dataset:
            batches = self.source.train_batches(**options, start_step=step, **worker)
            return self._packed(batches, strategy, **worker)

        def eval_batches(
            make_batches: Callable[..., tf.data.Dataset], **worker: int
        ) -> tf.data.Dataset:
            batches = make_batches(**options, max_steps=self.max_eval_steps, **worker)
            return self._packed(batches, strategy, **worker)

        held_out = self.source.eval_batches
        return Phase(
            num_steps=self.num_steps,
            batch_size=self.training.batch_size,
            accumulation_steps=self.training.accumulation_steps,
            train_batches=train_batches,
            eval_batches=held_out and functools.partial(eval_batches, held_out),
            schedule=self.schedule,
        )

    def _packed(
        self,
        batches: tf.data.Dataset,
        strategy: tf.distribute.Strategy,
        *,
        num_workers: int = 1,
        worker_index: int = 0,
    ) -> tf.data.Dataset:
        """`batches` in rows that every replica and micro-batch of the worker gets as many of."""
        del worker_index
        if not self.training.pack_sequences:
            return batches
        num_replicas = strategy.num_replicas_in_sync // num_workers
        return pack_batches(
            batches,
            num_parts=num_replicas * self.training.accumulation_steps,
            masked_lm_prob=self.masking.masked_lm_prob,
            pad_id=self.source.tokenizer.pad_id,
        )


def open_phases(config: Config) -> tuple[OpenPhase, ...]:
    """The phases in order.

    Raises:
        FileNotFoundError, ValueError: records are missing or damaged, see `records.shard_paths`;
            or those of two phases differ in vocabulary or in having next-sentence labels.
    """
    section = config.pretraining
    if not section.phases:
        records = required(
            section.records, key="pretraining.records", what="a folder that `bert-tf prepare` wrote"
        )
        whole = PhaseConfig(
            records=records,
            eval_records=section.eval_records,
            num_train_steps=section.num_train_steps,
        )
        return (_open_phase(config, whole, name="pretraining", seed=config.seed),)
    phases = tuple(
        _open_phase(
            config,
            phase,
            name=f"pretraining.phases.{number}",
            seed=derive_seed(config.seed, "phase", number) if number else config.seed,
        )
        for number, phase in enumerate(section.phases)
    )
    for phase in phases[1:]:
        _check_alike(phases[0], phase)
    return phases


def _open_phase(config: Config, phase: PhaseConfig, *, name: str, seed: int) -> OpenPhase:
    section = config.pretraining
    training = section.training.model_copy(
        update=_given(phase, "batch_size", "accumulation_steps"),
    )
    masking = config.masking.model_copy(update=_given(phase, "max_predictions_per_seq"))
    schedule = None
    if phase.learning_rate is not None:
        own = _given(phase, "learning_rate", "warmup_share")
        schedule = OptimizerConfig.model_validate(training.optimizer.model_dump() | own)
    return OpenPhase(
        name=name,
        records=phase.records,
        source=_open_source(config, phase, masking=masking, name=name),
        num_steps=phase.num_train_steps,
        training=training,
        masking=masking,
        seed=seed,
        max_eval_steps=section.max_eval_steps,
        schedule=schedule,
    )


def _given(phase: PhaseConfig, *names: str) -> dict[str, object]:
    values = {name: getattr(phase, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _open_source(
    config: Config, phase: PhaseConfig, *, masking: MaskingConfig, name: str
) -> OpenedRecords:
    if is_static(phase.records):
        vocabulary = required(
            config.tokenizer.vocabulary,
            key="tokenizer.vocabulary",
            what="the vocab.txt that the static records were made with",
        )
        tokenizer = Tokenizer.load(vocabulary, config.tokenizer)
        return open_static(phase.records, phase.eval_records, tokenizer=tokenizer)
    source = open_prepared(phase.records, masking=masking)
    if phase.eval_records is not None:
        raise ValueError(
            f"{name}.eval_records must be unset for a folder of `bert-tf prepare`, which has "
            f"its own held-out records. Received: {phase.eval_records!r}. Take it out."
        )
    return source


def _check_alike(first: OpenPhase, other: OpenPhase) -> None:
    """All phases train one model."""
    for what, get, advice in (
        ("vocabulary", lambda s: s.tokenizer.vocabulary_sha256, "tokenizer.vocabulary"),
        ("tokenizer settings", lambda s: s.tokenizer.settings, "tokenizer settings"),
        ("examples.next_sentence", lambda s: s.next_sentence, "examples.next_sentence"),
    ):
        expected, received = get(first.source), get(other.source)
        if expected != received:
            raise ValueError(
                f"{other.name}.records must have the {what} of {first.name}.records, {expected}. "
                f"Received: {received}. Prepare both with the same {advice}."
            )
