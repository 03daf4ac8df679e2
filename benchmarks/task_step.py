"""How many examples a second do tasks of tokens take in, beside Hugging Face's scripts?

    python -m benchmarks.task_step --task token_labels --data klue_ner/dev.tsv
        --layout token_columns
    python -m benchmarks.task_step --task question_answering --data korquad/train.json --length 384
        --stride 128 --batch-size 8

Whole steps (batch, forward, backward, clipping, AdamW; dropout 0.1) on the same rows of token ids:
models of one size with one vocabulary, learned from the texts. bert_tf: as `bert-tf finetune`
runs, batches by length; an example is a text, or a question with all windows of its context.
Hugging Face: what run_ner.py and run_qa.py make of the rows, shuffled: padded to the longest of the
batch, or to the full length; windows are examples of their own, so a question is as many. All in
turn, in one process; medians over the rounds. The first round, which compiles, is not counted.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine
from benchmarks.makers import DROPOUT, our_train_step
from benchmarks.workload import POLICIES
from bert_tf.config import (
    FinetuningConfig,
    ModelConfig,
    TableConfig,
    TokenizerConfig,
    VocabularyConfig,
)
from bert_tf.data.batches import length_groups
from bert_tf.data.batches.labelled import labelled_batches
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import open_task
from bert_tf.training.engine.strategy import split_batches

LEARNING_RATE = 5e-5
OPTIONS: dict[str, dict[str, Any]] = {
    "token_labels": {"units": "pieces"},
    "question_answering": {"faults": "skip"},
}
Rows = list[dict[str, np.ndarray]]
TakeExamples = Callable[[], float]
"""Takes some steps; returns how many examples they had."""


def main() -> None:
    """Time all in turn and print a Markdown table."""
    arguments = _parse()
    section = FinetuningConfig(
        task={"name": arguments.task, **OPTIONS[arguments.task]},
        table=TableConfig(layout=arguments.layout),
    )
    task = open_task(section)
    data = task.read(read_table(arguments.data, config=section.table, key="--data"), section)
    tokens = _vocabulary(data, arguments.vocab_size)
    description = ModelDescription(
        kind=arguments.task,
        architecture=ModelConfig(size=arguments.size, vocab_size=len(tokens)),
        max_seq_length=arguments.length,
        max_windows=task.default_max_windows,
        window_stride=arguments.stride,
        classifier_dropout_prob=DROPOUT,
        **task.learn(data),
    )
    encoded = task.encode(data, description, tokenizer=WordPieceTokenizer(tokens))
    rows = _rows(encoded, len(data))
    takers = {"bert_tf": _ours(arguments, task, description, encoded)}
    for precision in ("float32", "bfloat16"):
        name = f"Hugging Face, {precision}"
        takers[name] = _theirs(arguments, description, rows, len(data) / len(rows), precision)
    rates: dict[str, list[float]] = {name: [] for name in takers}
    for take in takers.values():
        take()
    for name, take in list(takers.items()) * arguments.rounds:
        started = time.perf_counter()
        num_examples = take()
        rates[name].append(num_examples / (time.perf_counter() - started))
    _print(arguments, {name: statistics.median(of_all) for name, of_all in rates.items()})


def _vocabulary(data: Examples, size: int) -> list[str]:
    texts = list(dict.fromkeys(text for column in data.inputs.values() for text in column))
    return learn_vocabulary(
        iter(texts), config=VocabularyConfig(size=size), tokenizer=TokenizerConfig()
    )


def _rows(encoded: Any, num_examples: int) -> Rows:
    """Every window of every example without padding, with labels as Hugging Face has them."""
    rows: Rows = []
    for example in range(num_examples):
        batch = {
            name: it.numpy()[0] for name, it in encoded.features(tf.constant([example])).items()
        }
        windows = np.atleast_2d(batch["input_ids"]), np.atleast_2d(batch["input_mask"])
        segments = np.atleast_2d(batch["segment_ids"])
        for number, (ids, mask) in enumerate(zip(*windows, strict=True)):
            length = int(mask.sum())
            row = {"input_ids": ids[:length], "token_type_ids": segments[number][:length]}
            if "labels" in batch:
                row["labels"] = np.where(batch["label_weights"] > 0, batch["labels"], -100)[:length]
            else:
                row |= _positions(batch, batch["document_columns"][number])
            rows.append(row)
    return rows


def _positions(batch: dict[str, np.ndarray], columns: np.ndarray) -> dict[str, np.ndarray]:
    """Where the answer stands in a window; [CLS] if it is read in another."""
    first, last = (
        np.flatnonzero(columns == batch[f"{side}_columns"][0]) for side in ("first", "last")
    )
    is_here = len(first) == 1 and len(last) == 1
    return {
        "start_positions": np.array(first[0] if is_here else 0),
        "end_positions": np.array(last[0] if is_here else 0),
    }


def _ours(
    arguments: argparse.Namespace, task: Any, description: ModelDescription, encoded: Any
) -> TakeExamples:
    """The package's own batches and step; a window of batches has its share of every length."""
    step, strategy, *_ = our_train_step(
        description,
        task.objective(description),
        policy=POLICIES[arguments.precision],
        learning_rate=LEARNING_RATE,
        head_flops=task.head_flops(description),
    )
    batches = labelled_batches(
        encoded,
        batch_size=arguments.batch_size,
        is_training=True,
        group_by_length=True,
        seed=0,
    )
    iterator = iter(split_batches(lambda: batches, strategy))

    def take() -> float:
        for index in range(length_groups.WINDOW_BATCHES):
            result = step(iterator, tf.constant(index, tf.int64))
        tf.nest.map_structure(lambda value: value.numpy(), result)
        return arguments.batch_size * length_groups.WINDOW_BATCHES

    return take


def _theirs(
    arguments: argparse.Namespace,
    description: ModelDescription,
    rows: Rows,
    examples_a_row: float,
    precision: str,
) -> TakeExamples:
    """`BertForTokenClassification` or `BertForQuestionAnswering`, its step as `Trainer` has it."""
    import torch
    import transformers

    config = description.architecture
    options = transformers.BertConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        num_labels=max(2, len(description.class_names)),
    )
    is_tokens = arguments.task == "token_labels"
    kind = "TokenClassification" if is_tokens else "QuestionAnswering"
    model = getattr(transformers, f"BertFor{kind}")(options).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    batches = _padded(rows, arguments.batch_size, None if is_tokens else arguments.length)

    def take() -> float:
        for _ in range(arguments.steps):
            batch = {name: torch.tensor(it, dtype=torch.long) for name, it in next(batches).items()}
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()
        return arguments.steps * arguments.batch_size * examples_a_row

    return take


def _padded(rows: Rows, batch_size: int, length: int | None) -> Iterator[dict[str, np.ndarray]]:
    """Shuffled batches, endless; `length` None is that of the longest row of the batch."""
    draw = np.random.default_rng(0)
    while True:
        order = draw.permutation(len(rows))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            own = [rows[row] for row in order[start : start + batch_size]]
            width = length or max(len(row["input_ids"]) for row in own)
            batch = {
                name: np.stack([_to_width(row[name], width, name) for row in own])
                for name in own[0]
            }
            lengths = np.array([len(row["input_ids"]) for row in own])
            yield {**batch, "attention_mask": np.arange(width) < lengths[:, np.newaxis]}


def _to_width(values: np.ndarray, width: int, name: str) -> np.ndarray:
    if values.ndim == 0:
        return values
    fill = -100 if name == "labels" else 0
    return np.pad(values, (0, width - len(values)), constant_values=fill)


def _print(arguments: argparse.Namespace, rates: dict[str, float]) -> None:
    print(
        f"{arguments.task}, {arguments.size}, batches of {arguments.batch_size}, rows of at most "
        f"{arguments.length} tokens, {arguments.precision}, median of {arguments.rounds}; "
        f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    print("| | examples/s | bert_tf is faster by |")
    print("|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.1f} | {rates['bert_tf'] / rate:.2f} |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=sorted(OPTIONS), required=True)
    parser.add_argument("--data", required=True, help="a file as `finetuning.train_path` takes it")
    parser.add_argument("--layout", default="auto", help="as of `finetuning.table`")
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--stride", type=int, help="default: half of the length")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--steps", type=int, default=16, help="of Hugging Face a round")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
