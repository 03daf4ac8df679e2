"""What Hugging Face's PyTorch BERT gives on a batch: outputs, loss, every gradient.

Needs the `bench` extra; the default tests compare with what `tests/golden/make_huggingface.py`
stored of it.
"""

from pathlib import Path
from typing import Any

import numpy as np

SIZES = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
NUM_CLASSES = 3
CLASSES = (
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertModel",
    "BertForMultipleChoice",
)


def random_model(class_name: str, *, seed: int, **changes: Any) -> Any:
    """A model in training mode whose every weight is random, biases and LayerNorms too."""
    import torch
    import transformers

    config = transformers.BertConfig(
        **{**SIZES, **changes},
        num_labels=2 if class_name == "BertForQuestionAnswering" else NUM_CLASSES,
    )
    model = getattr(transformers, class_name)(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            weight.copy_(centre + 0.3 * torch.randn(weight.shape, generator=generator))
    return model.train()


def random_batch(*, seed: int, batch: int = 4, length: int = 11) -> dict[str, np.ndarray]:
    """Inputs and labels of every task, in our names; every second row ends in padding."""
    rng = np.random.default_rng(seed)
    input_mask = np.ones((batch, length), np.int32)
    input_mask[::2, -3:] = 0
    positions = np.stack([rng.choice(length - 3, 3, replace=False) for _ in range(batch)])
    return {
        # 0 is padding: PyTorch gives its row of the table no gradient.
        "input_ids": rng.integers(1, SIZES["vocab_size"], (batch, length), np.int32) * input_mask,
        "input_mask": input_mask,
        "segment_ids": rng.integers(0, 2, (batch, length), np.int32),
        "masked_lm_positions": np.sort(positions, axis=1).astype(np.int32),
        "masked_lm_ids": rng.integers(1, SIZES["vocab_size"], (batch, 3), np.int32),
        "next_sentence_labels": rng.integers(0, 2, batch, np.int32),
        "labels": rng.integers(0, NUM_CLASSES, batch, np.int32),
        "token_labels": rng.integers(0, NUM_CLASSES, (batch, length), np.int32),
        "starts": rng.integers(0, length - 3, batch, np.int32),
        "ends": rng.integers(0, length - 3, batch, np.int32),
    }


def of_choices(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The batch as texts with two choices each, (texts, 2, length), of which one is right."""
    rows = ("input_ids", "input_mask", "segment_ids")
    shaped = {name: batch[name].reshape(-1, 2, batch[name].shape[1]) for name in rows}
    right = batch["next_sentence_labels"][: len(batch["input_ids"]) // 2]
    return {**batch, **shaped, "right_choices": right}


def reference_results(model: Any, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`output/...`, `loss` and, by the names of the model's parameters, `gradient/...`."""
    import torch

    if type(model).__name__ == "BertForMultipleChoice":
        batch = of_choices(batch)
    tensors = {name: torch.from_numpy(value.astype(np.int64)) for name, value in batch.items()}
    model.zero_grad()
    outputs = model(
        input_ids=tensors["input_ids"],
        attention_mask=tensors["input_mask"],
        token_type_ids=tensors["segment_ids"],
        **_labels(type(model).__name__, tensors),
    )
    results = {
        f"output/{name}": value.detach().numpy()
        for name, value in outputs.items()
        if name != "loss"
    }
    loss = outputs.get("loss")
    if loss is not None:
        loss.backward()
        results["loss"] = loss.detach().numpy()
        for name, weight in model.named_parameters():
            results[f"gradient/{name}"] = weight.grad.numpy().copy()
    return results


def _labels(class_name: str, tensors: dict[str, Any]) -> dict[str, Any]:
    import torch

    if class_name == "BertForMultipleChoice":
        return {"labels": tensors["right_choices"]}
    masked = torch.full(tensors["input_ids"].shape, -100)
    masked.scatter_(1, tensors["masked_lm_positions"], tensors["masked_lm_ids"])
    not_padding = torch.where(tensors["input_mask"] > 0, tensors["token_labels"], -100)
    return {
        "BertForPreTraining": {
            "labels": masked,
            "next_sentence_label": tensors["next_sentence_labels"],
        },
        "BertForMaskedLM": {"labels": masked},
        "BertForNextSentencePrediction": {"labels": tensors["next_sentence_labels"]},
        "BertForSequenceClassification": {"labels": tensors["labels"]},
        "BertForTokenClassification": {"labels": not_padding},
        "BertForQuestionAnswering": {
            "start_positions": tensors["starts"],
            "end_positions": tensors["ends"],
        },
        "BertModel": {},
    }[class_name]


def save(model: Any, path: Path, **kwargs: Any) -> Path:
    """As Hugging Face writes it."""
    model.save_pretrained(path, **kwargs)
    return path
