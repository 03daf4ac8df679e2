"""Small models of made-up texts, trained through the Python face."""

import random
from pathlib import Path
from typing import Any

import pandas as pd

import bert_tf
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer

WORDS = ["good", "bad", "film", "plot", "long", "short", "영화"]


def make_frame(num_rows: int, *, seed: int = 1) -> pd.DataFrame:
    """Texts with targets for every task, under an index that does not count from 0."""
    draw = random.Random(seed)
    rows = [draw.choices(WORDS, k=6) for _ in range(num_rows)]
    return pd.DataFrame(
        {
            "comment": [" ".join(words) for words in rows],
            "answer": [" ".join(words[::-1]) for words in rows],
            "good": ["good" in words for words in rows],
            "long": ["long" in words for words in rows],
            "sentiment": ["pos" if "good" in words else "neg" for words in rows],
            "stars": [round(5 * words.count("good") / 6, 2) for words in rows],
        },
        index=range(1000, 1000 + num_rows),
    )


def make_config(folder: Path) -> bert_tf.Config:
    """One layer, a vocabulary of a few words, no MLflow."""
    WordPieceTokenizer([*CONTROL_TOKENS, *WORDS]).save(folder / "vocab")
    return bert_tf.Config(
        model={
            "num_hidden_layers": 1,
            "hidden_size": 64,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 32,
        },
        tokenizer={"vocabulary": str(folder / "vocab")},
        tracking={"enabled": False},
    )


def finetune(folder: Path, **settings: Any) -> bert_tf.LoadedModel:
    """A model in `folder/model`, with held-out examples that it has not seen."""
    given = {"train": make_frame(400), "held_out": make_frame(40, seed=2)}
    return bert_tf.finetune(
        **(given | settings),
        output_dir=folder / "model",
        config=make_config(folder),
        from_scratch=True,
        max_seq_length=16,
        text_field="comment",
        show_progress=False,
        training={
            "batch_size": 16,
            "precision": "float32",
            "optimizer": {"learning_rate": 1e-3},
        },
    )
