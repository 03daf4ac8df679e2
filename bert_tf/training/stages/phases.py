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
    required,
)
from bert_tf.data.batches.google_records import is_static
from bert_tf.data.batches.opened_records import OpenedRecords, open_prepared, open_static
from bert_tf.data.batches.row_packing import pack_batches
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.training.engine.loop import Phase


@dataclass(frozen=True, kw_only=True)
class PretrainingPhase(Phase):
    """A phase whose records are found and fit."""

    name: str
    """For messages: the key of its settings."""
    records: str
    """Where they are."""
    eval_records: str | None
    """Where held-out ones are that do not lie among them."""
    opened: OpenedRecords
    masking: MaskingConfig


def open_phases(config: Config, *, num_replicas: int = 1) -> tuple[PretrainingPhase, ...]:
    """The phases in order.

    Args:
        num_replicas: of all workers; packed rows are as many for each of them.

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
        options = {"seed": config.seed, "num_replicas": num_replicas}
        return (_open_phase(config, whole, name="pretraining", **options),)
    phases = tuple(
        _open_phase(
            config,
            phase,
            name=f"pretraining.phases.{number}",
            seed=derive_seed(config.seed, "phase", number) if number else config.seed,
            num_replicas=num_replicas,
        )
        for number, phase in enumerate(section.phases)
    )
    for phase in phases[1:]:
        _check_alike(phases[0], phase)
    return phases


def _open_phase(
    config: Config, phase: PhaseConfig, *, name: str, seed: int, num_replicas: int
) -> PretrainingPhase:
    """`seed`: of order and masks: other examples get other draws."""
    section = config.pretraining
    training = section.training.model_copy(
        update=_given(phase, "batch_size", "accumulation_steps"),
    )
    masking = config.masking.model_copy(update=_given(phase, "max_predictions_per_seq"))
    schedule = None
    if phase.learning_rate is not None:
        own = _given(phase, "learning_rate", "warmup_share")
        schedule = OptimizerConfig.model_validate(training.optimizer.model_dump() | own)
    opened = _open_records(config, phase, masking=masking, name=name)
    options = {"batch_size": training.batch_size, "seed": seed}

    def packed(batches: tf.data.Dataset, *, num_workers: int = 1, **_: int) -> tf.data.Dataset:
        """Rows that every replica and micro-batch of the worker gets as many of."""
        if not training.pack_sequences:
            return batches
        return pack_batches(
            batches,
            num_parts=num_replicas // num_workers * training.accumulation_steps,
            masked_lm_prob=masking.masked_lm_prob,
            pad_id=opened.tokenizer.pad_id,
        )

    def train_batches(step: int, **worker: int) -> tf.data.Dataset:
        return packed(opened.train_batches(**options, start_step=step, **worker), **worker)

    def eval_batches(
        make_batches: Callable[..., tf.data.Dataset], **worker: int
    ) -> tf.data.Dataset:
        batches = make_batches(**options, max_steps=section.max_eval_steps, **worker)
        return packed(batches, **worker)

    held_out = opened.eval_batches
    return PretrainingPhase(
        name=name,
        records=phase.records,
        eval_records=phase.eval_records,
        opened=opened,
        masking=masking,
        num_steps=phase.num_train_steps,
        batch_size=training.batch_size,
        accumulation_steps=training.accumulation_steps,
        train_batches=train_batches,
        eval_batches=held_out and functools.partial(eval_batches, held_out),
        schedule=schedule,
    )


def _given(phase: PhaseConfig, *names: str) -> dict[str, object]:
    values = {name: getattr(phase, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _open_records(
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
    opened = open_prepared(phase.records, masking=masking)
    if phase.eval_records is not None:
        raise ValueError(
            f"{name}.eval_records must be unset for a folder of `bert-tf prepare`, which has "
            f"its own held-out records. Received: {phase.eval_records!r}. Take it out."
        )
    return opened


def _check_alike(first: PretrainingPhase, other: PretrainingPhase) -> None:
    """All phases train one model."""
    for what, get, advice in (
        ("vocabulary", lambda s: s.tokenizer.vocabulary_sha256, "tokenizer.vocabulary"),
        ("tokenizer settings", lambda s: s.tokenizer.settings, "tokenizer settings"),
        ("examples.next_sentence", lambda s: s.next_sentence, "examples.next_sentence"),
    ):
        expected, received = get(first.opened), get(other.opened)
        if expected != received:
            raise ValueError(
                f"{other.name}.records must have the {what} of {first.name}.records, {expected}. "
                f"Received: {received}. Prepare both with the same {advice}."
            )
