"""Hugging Face's pretraining step: a file of its own, since it needs no TensorFlow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bert_tf.config import ModelConfig


def huggingface_step(
    config: ModelConfig,
    batch: dict[str, np.ndarray],
    policy: str,
    *,
    is_compiled: bool = False,
) -> Callable[[], Any]:
    """`BertForPreTraining` in PyTorch, autocast to the precision, fused AdamW.

    On a GPU, if there is one. A step gives its loss, which may still be under way there.
    """
    import torch
    import transformers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = transformers.BertForPreTraining(
        transformers.BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            hidden_act="gelu_new",
        )
    ).train()
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    labels = np.full(batch["input_ids"].shape, -100, np.int64)  # -100: not predicted
    np.put_along_axis(labels, batch["masked_lm_positions"], batch["masked_lm_ids"], axis=1)
    inputs = {
        "input_ids": torch.tensor(batch["input_ids"], dtype=torch.long),
        "attention_mask": torch.tensor(batch["input_mask"], dtype=torch.long),
        "token_type_ids": torch.tensor(batch["segment_ids"], dtype=torch.long),
        "labels": torch.tensor(labels),
        "next_sentence_label": torch.tensor(batch["next_sentence_labels"], dtype=torch.long),
    }
    inputs = {name: values.to(device) for name, values in inputs.items()}
    forward = torch.compile(model) if is_compiled else model

    def step() -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=policy == "mixed_bfloat16"):
            loss = forward(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step
