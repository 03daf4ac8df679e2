"""The sections of every training run: optimizer, batches, devices, checkpoints."""

from typing import Literal, Self

import pydantic

from bert_tf.config.section import Rate, Section, Share


class OptimizerConfig(Section):
    """How weights follow from gradients, and at what learning rate at which step."""

    name: Literal["adamw", "lamb"] = "adamw"
    """`lamb` scales each matrix's step to its norm: for very large batches."""
    learning_rate: pydantic.PositiveFloat = 1e-4
    """The peak: the end of the warm-up."""
    warmup_share: Rate = 0.1
    """Share of all steps in which the learning rate rises from zero."""
    schedule: Literal["linear", "cosine", "polynomial", "constant", "inverse_sqrt"] = "linear"
    """How the learning rate falls after the warm-up. `constant`: not, for `constant_share` of all
    steps, then linearly. `inverse_sqrt`: as 1 / sqrt(step), to whatever that is at the end."""
    schedule_power: pydantic.PositiveFloat = 0.5
    """`schedule: polynomial`: the power of the share of steps left; 0.5 is usual for LAMB."""
    constant_share: Share = 0.0
    end_learning_rate: Share = 0.0
    """Where the learning rate ends, as a share of `learning_rate`."""
    layer_decay: float = pydantic.Field(default=1.0, gt=0.0, le=1.0)
    """Each layer below the heads learns at this multiple of the rate of the one above it; in a
    decoder it is counted from its own top."""
    weight_decay_rate: pydantic.NonNegativeFloat = 0.01
    beta_1: Rate = 0.9
    beta_2: Rate = 0.999
    epsilon: pydantic.PositiveFloat = 1e-6
    bias_correction: bool = True
    """False gives the update of Google's 2018 code, blamed for unstable fine-tuning."""
    max_grad_norm: pydantic.PositiveFloat = 1.0
    """The gradient of the whole batch is scaled down to this global norm."""
    ema_decay: float | None = pydantic.Field(default=None, gt=0.0, lt=1.0)
    """Evaluate and save an exponential moving average of the weights: what it keeps of itself a
    step. Default: the weights themselves."""

    @pydantic.model_validator(mode="after")
    def _schedule_has_its_numbers(self) -> Self:
        if self.schedule != "polynomial" and self.schedule_power != 0.5:
            raise ValueError(
                "schedule_power is for schedule=polynomial. Received: "
                f"schedule_power={self.schedule_power}, schedule={self.schedule}. "
                "Set schedule=polynomial, or leave schedule_power out."
            )
        if (self.schedule == "constant") != (self.constant_share > 0.0):
            raise ValueError(
                "schedule=constant and a constant_share above 0 need each other. Received: "
                f"schedule={self.schedule}, constant_share={self.constant_share}. "
                "Set both, or leave both out."
            )
        if self.schedule == "inverse_sqrt" and not (
            self.warmup_share > 0.0 and self.end_learning_rate == 0.0
        ):
            raise ValueError(
                "schedule=inverse_sqrt needs a warmup_share above 0, from which it falls, and has "
                "no end_learning_rate. Received: "
                f"warmup_share={self.warmup_share}, end_learning_rate={self.end_learning_rate}. "
                "Set warmup_share to 4000 / num_steps for the paper's, and leave "
                "end_learning_rate out."
            )
        if self.warmup_share + self.constant_share > 1.0 + 1e-9:
            raise ValueError(
                "warmup_share + constant_share must be at most 1. Received: "
                f"{self.warmup_share} + {self.constant_share}. Lower one of them."
            )
        return self


class TrainingConfig(Section):
    """What every training run shares."""

    batch_size: pydantic.PositiveInt = 32
    """Examples a step over all replicas and accumulated micro-batches."""
    accumulation_steps: pydantic.PositiveInt = 1
    optimizer: OptimizerConfig = OptimizerConfig()
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Matrix products' type; auto takes bfloat16 where the hardware has it. float16 scales the loss
    by what its gradients bear."""
    max_skipped_steps: pydantic.PositiveInt = 10
    """A step without a finite loss and gradient changes nothing; this many in a row end the run."""
    rematerialize: bool = False
    """Recompute each Transformer layer in the backward pass: less memory, same numbers, about 30%
    more time."""
    num_logical_devices: pydantic.PositiveInt | None = None
    """Splits the CPU into this many replicas. Default: all visible GPUs, or one CPU."""
    log_every_steps: pydantic.PositiveInt = 20
    evaluate_every_steps: pydantic.PositiveInt | None = None
    """Default: at the end only."""
    checkpoint_every_steps: pydantic.PositiveInt = 500
    keep_checkpoints: pydantic.PositiveInt = 3
    """The newest; the next two settings keep more."""
    keep_every_steps: pydantic.PositiveInt | None = None
    """Checkpoints of steps that this divides stay for good."""
    keep_best: str | None = None
    """A metric of the evaluation, such as masked_lm_loss or classification_accuracy. Every
    evaluation has a checkpoint then, and the best stays, which `checkpoints/best.json` names: of a
    loss or a perplexity the lowest, of others the highest."""

    @pydantic.model_validator(mode="after")
    def _batch_divides(self) -> Self:
        parts = self.accumulation_steps * (self.num_logical_devices or 1)
        if self.batch_size % parts:
            raise ValueError(
                "batch_size must be a multiple of accumulation_steps x replicas. Received: "
                f"batch_size={self.batch_size}, {parts} parts. Use a multiple of {parts}."
            )
        return self


class PretrainingOptimizerConfig(OptimizerConfig):
    """Devlin et al. 2019, appendix A.2: 10,000 of 1,000,000 steps are warm-up."""

    warmup_share: Rate = 0.01


class PretrainingTrainingConfig(TrainingConfig):
    """Devlin et al. 2019, appendix A.2."""

    batch_size: pydantic.PositiveInt = 256
    optimizer: PretrainingOptimizerConfig = PretrainingOptimizerConfig()
    evaluate_every_steps: pydantic.PositiveInt | None = 5000
    pack_sequences: bool = False
    """Lay the sequences of a batch into as few rows as hold them instead of padding each: the same
    loss and gradients (but for dropout's draws), in less time where texts are short."""


class FinetuningOptimizerConfig(OptimizerConfig):
    """Devlin et al. 2019, appendix A.3."""

    learning_rate: pydantic.PositiveFloat = 5e-5


class FinetuningTrainingConfig(TrainingConfig):
    """Devlin et al. 2019, appendix A.3."""

    optimizer: FinetuningOptimizerConfig = FinetuningOptimizerConfig()
