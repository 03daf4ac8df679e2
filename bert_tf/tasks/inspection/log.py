"""Labelled examples in, a few lines in the log before a training."""

import logging

from bert_tf.data.tables.splitting import find_leaks
from bert_tf.system.listing import listed, shortened
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.inspection.counts import count_examples, describe_target

log = logging.getLogger(__name__)


def log_counts(task: Task, train: Examples, held_out: Examples) -> None:
    """What there is to learn from, and whether the held-out examples are really held out."""
    examples = {"train": train, "eval": held_out}
    keys = {role: of.keys() for role, of in examples.items()}
    for role, of in examples.items():
        counted = count_examples(task, of, keys=keys[role])
        counts = counted.targets
        names = [f"{shortened(name)} {number:,}" for name, number in counts.items()]
        log.info("%s: %d examples: %s", role, len(of), listed(names, max_items=20))
        if number := counted.num_duplicates:
            log.info("%s: %d examples have the text of another one", role, number)
        if counted.conflicts:
            first, second = (
                f"{of.where(row)} ({shortened(describe_target(of.targets[row]))})"
                for row in counted.conflicts[0]
            )
            log.warning(
                "%s: %d texts occur with different targets, such as %s and %s; `bert-tf inspect "
                "--labelled` shows them.",
                *(role, len(counted.conflicts), first, second),
            )
    if leaks := find_leaks(keys["train"], keys["eval"]):
        log.warning(
            "%d of %d held-out examples are in the training data, too, such as %s: metrics on "
            "them say nothing of unseen text. Take them out of one of the two.",
            len(leaks),
            len(held_out),
            held_out.where(leaks[0]),
        )
