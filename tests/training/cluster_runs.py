"""Small runs of several workers, for tests."""

import random
import time
from pathlib import Path
from typing import Any

from bert_tf.config import validate_config
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from bert_tf.training.engine.checkpoints import checkpoint_steps
from tests.training.letters import WORDS, write_documents
from tests.training.worker_processes import finish

NUM_STEPS = 6


def write_data(folder: Path) -> None:
    """Records, and labelled texts of two classes."""
    draw = random.Random(0)
    write_documents(folder / "text.txt", draw)
    (folder / "vocab.txt").write_text("\n".join([PAD, UNK, CLS, SEP, MASK, *WORDS]) + "\n")
    rows = ["text\tlabel", *(f"{' '.join(draw.choices(WORDS, k=5))}\t{i % 2}" for i in range(36))]
    (folder / "labelled.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    prepare_records(validate_config(make_tree(folder)), folder / "records")


def make_tree(work: Path, *, num_steps: int = NUM_STEPS, **training: Any) -> dict[str, Any]:
    common = {"batch_size": 8, "precision": "float32", "log_every_steps": 1}
    common |= {"checkpoint_every_steps": 2, "optimizer": {"learning_rate": 0.01}} | training
    return {
        "corpus": {"paths": [str(work / "text.txt")], "held_out_share": 0.2},
        "tokenizer": {"vocabulary": str(work / "vocab.txt")},
        "examples": {"max_seq_length": 16},
        "records": {"num_shards": 1, "num_workers": 1},
        "masking": {"max_predictions_per_seq": 3},
        "model": {
            "num_hidden_layers": 1,
            "hidden_size": 8,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 16,
            # Each replica draws its own masks: without dropout all splits compute the same.
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        "pretraining": {
            "records": str(work / "records"),
            "num_train_steps": num_steps,
            "training": {"evaluate_every_steps": 3, **common},
        },
        "finetuning": {
            "from_scratch": True,
            "train_path": str(work / "labelled.tsv"),
            "eval_path": str(work / "labelled.tsv"),
            "num_epochs": 1,
            "max_seq_length": 16,
            "group_by_length": True,
            "classifier_dropout_prob": 0.0,
            "training": common,
        },
        "tracking": {"enabled": False},
    }


def wait_for_step(output_dir: Path, processes: list[Any], *, seconds: float = 200) -> None:
    """Until the first checkpoint is there."""
    end = time.monotonic() + seconds
    while not checkpoint_steps(output_dir / "checkpoints"):
        assert time.monotonic() < end, finish(processes, seconds=1)
        assert all(process.poll() is None for process in processes), finish(processes)
        time.sleep(0.1)
