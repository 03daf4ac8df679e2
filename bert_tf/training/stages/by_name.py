"""Finds a training stage by its name, for the command line and for Ray workers."""

from collections.abc import Callable
from typing import Literal

Stage = Literal["pretrain", "finetune"]


def stage_function(stage: Stage) -> Callable[..., dict[str, float]]:
    """`pretraining.pretrain` or `finetuning.finetune`."""
    from bert_tf.training.stages.finetuning import finetune
    from bert_tf.training.stages.pretraining import pretrain

    return {"pretrain": pretrain, "finetune": finetune}[stage]
