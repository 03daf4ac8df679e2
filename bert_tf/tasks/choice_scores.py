"""Scores of choices in, answers and the loss out; a text may have any number of choices.

logits [[2, 0, 0], [1, 3, 0]], num_choices [3, 2]
    -> choice [0, 1], probabilities [[0.79, 0.11, 0.11], [0.12, 0.88, 0]]
"""

from collections.abc import Mapping

import tensorflow as tf

from bert_tf.data.text.sentences import replace_invalid_utf8
from bert_tf.models.objective import Batch, Sums, weighted_cross_entropy
from bert_tf.tasks.choice_lines import ChoiceLines

_ABSENT = -1e9
"""In the place of the score of a choice that is missing: its probability is 0 exactly."""


def answers_of_scores(outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`choice`, int32 (batch), from 0; `score`, its probability; `probabilities` (batch, most
    choices), 0 beyond those of a text; `num_choices`, int32 (batch).

    Of a text without choices `choice` is -1, the score 0.

    `outputs`: of `models.classifier.BertMultipleChoice`.
    """
    logits, num_choices = outputs["logits"], outputs["num_choices"]
    is_there = tf.sequence_mask(num_choices, tf.shape(logits)[1])
    probabilities = tf.where(is_there, tf.nn.softmax(_masked(outputs)), 0.0)
    # No text may have a choice: of no column there is no greatest.
    with_column = tf.pad(probabilities, [[0, 0], [0, 1]])
    choice = tf.argmax(with_column, axis=1, output_type=tf.int32)
    return {
        "choice": tf.where(num_choices > 0, choice, -1),
        "score": tf.reduce_max(with_column, axis=1),
        "probabilities": probabilities,
        "num_choices": num_choices,
    }


def texts_of_answers(choice: tf.Tensor, lines: ChoiceLines) -> dict[str, tf.Tensor]:
    """`choice_text`, string (batch): the line that `choice`, int32 (batch), is; of -1 none."""
    choices = lines.choices
    places = tf.where(
        choice < 0,
        tf.size(choices.values, tf.int64),
        choices.row_starts() + tf.cast(choice, tf.int64),
    )
    line = tf.gather(tf.concat([choices.values, [""]], axis=0), places)
    return {"choice_text": replace_invalid_utf8(line)}


class MultipleChoiceObjective:
    """Cross-entropy of the right choice among those of its text."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"multiple_choice": tf.reduce_sum(batch["weights"])}

    def sums(self, outputs: Mapping[str, tf.Tensor], batch: Batch) -> Sums:
        loss, correct = weighted_cross_entropy(
            _masked(outputs), batch["right_choices"], batch["weights"]
        )
        return Sums(loss={"multiple_choice": loss}, correct={"multiple_choice": correct})


def _masked(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The logits, float32 (batch, choices), `_ABSENT` where a text has no such choice."""
    logits = outputs["logits"]
    is_there = tf.sequence_mask(outputs["num_choices"], tf.shape(logits)[1])
    return tf.where(is_there, logits, _ABSENT)


WARMUP_TEXTS = tuple(
    (text.encode(), "\n".join(choices).encode())
    for text, choices in (
        ("She opens the door", ("and walks out into the garden.", "because it is made of rain.")),
        ("그는 문을 열고", ("밖으로 나갔다.", "노래를 먹었다.", "하늘이 되었다.")),
        ("今日は", ("いい天気です。", "机です。", "食べます。", "青い。")),
        ("All human beings are born free and equal. " * 100, ("In dignity.", "In rights. " * 50)),
        ("", tuple(f"choice {number}" for number in range(10))),
        ("[CLS] control [SEP] tokens [PAD]", ("[MASK]", "broken \ufffd bytes")),
        ("A text with one choice has no answer", ("the only one",)),
    )
)
