"""Questions and their contexts as batches, what is told of them, and thresholds of no answer."""

import logging
import random
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig, ModelConfig
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.question_answering import THRESHOLD, QuestionAnswering

WORDS = ["one", "two", "three", "four", "five", "?", ".", "##s"]
ARCHITECTURE = ModelConfig(
    num_hidden_layers=1,
    hidden_size=16,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=32,
    vocab_size=len(CONTROL_TOKENS) + len(WORDS),
)


@pytest.fixture
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])


def make_task(**options: Any) -> QuestionAnswering:
    return QuestionAnswering.with_options(options, name="question_answering")


def describe(**settings: Any) -> ModelDescription:
    settings = {"max_seq_length": 16, "max_windows": 6, "window_stride": 4, **settings}
    return ModelDescription(kind="question_answering", architecture=ARCHITECTURE, **settings)


def row(question: str, context: str, *answers: str) -> dict[str, Any]:
    given = [{"text": text, "answer_start": context.index(text)} for text in answers]
    return {"question": question, "context": context, "answers": given}


def read(*rows: dict[str, Any], **options: Any) -> Examples:
    return make_task(**options).read(
        read_table(list(rows), key="train"), FinetuningConfig(task="question_answering")
    )


def features(examples: Examples, description: ModelDescription, tokenizer: Tokenizer) -> Any:
    encoded = make_task().encode(examples, description, tokenizer=tokenizer)
    return {name: it.numpy() for name, it in encoded.features(tf.range(len(examples))).items()}


def test_columns_are_question_context_and_answers_unless_others_are_named() -> None:
    examples = read(row("one ?", "two three .", "three"))
    assert dict(examples.inputs) == {"question": ["one ?"], "context": ["two three ."]}
    assert list(examples.targets) == [((4, 9),)]
    section = FinetuningConfig(
        task={"name": "question_answering", "answers_field": "a"},
        text_field="q",
        text_pair_field="c",
    )
    table = read_table([{"q": "one ?", "c": "two", "a": []}], key="train")
    named = make_task(answers_field="a").read(table, section)
    assert dict(named.inputs) == {"question": ["one ?"], "context": ["two"]}
    assert list(named.targets) == [()]


def test_a_batch_is_worked_out_by_hand(tokenizer: Tokenizer) -> None:
    examples = read(row("one ?", "two threes four .", "threes four"), row("two ?", "one ."))
    batch = features(examples, describe(), tokenizer)
    assert batch["input_ids"].shape == (2, 1, 16)
    words = [
        " ".join(tokenizer.vocabulary[it] for it in of_row[0] if it != tokenizer.pad_id)
        for of_row in batch["input_ids"]
    ]
    assert words == [
        "[CLS] one ? [SEP] two three ##s four . [SEP]",
        "[CLS] two ? [SEP] one . [SEP]",
    ]
    assert batch["token_starts"].tolist() == [[0, 0, 4, 9, 11, 16, 0], [0, 0, 4, 0, 0, 0, 0]]
    assert batch["first_columns"].tolist() == [[2], [0]]
    assert batch["last_columns"].tolist() == [[4], [0]]


def random_question(draw: random.Random, *, num_words: int) -> dict[str, Any]:
    words = draw.choices(WORDS[:5], k=num_words)
    first = draw.randrange(num_words)
    start = len(" ".join([*words[:first], ""])) if first else 0
    answer = " ".join(words[first : first + draw.randint(1, 3)])
    given = [{"text": answer, "answer_start": start}]
    return {"question": "one ?", "context": " ".join(words), "answers": given}


def test_labels_stand_at_the_tokens_of_the_answer_in_whatever_window(tokenizer: Tokenizer) -> None:
    draw = random.Random(2)
    examples = read(*(random_question(draw, num_words=draw.randint(1, 30)) for _ in range(50)))
    batch = features(examples, describe(), tokenizer)
    # Windows of 11 tokens beside the question, 4 apart: 31 tokens of six.
    for number, targets in enumerate(examples.targets):
        start = batch["token_starts"][number][batch["first_columns"][number]]
        end = batch["token_ends"][number][batch["last_columns"][number]]
        assert [tuple(it) for it in zip(start, end, strict=True)] == list(targets)


def test_an_answer_behind_the_last_window_is_not_trained_on_and_told(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    near = row("one ?", "two " + "one " * 40, "two")
    far = row("one ?", "one " * 40 + "two", "two")
    with caplog.at_level(logging.WARNING):
        batch = features(read(near, far), describe(max_windows=2), tokenizer)
    assert batch["first_columns"].tolist() == [[1], [-1]]
    assert "1 of 2 answers lie behind the last window of their context" in caplog.text
    assert batch["input_ids"].shape == (2, 2, 16)


def test_answers_inside_of_tokens_and_questions_that_are_cut_are_told(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    inside = row("one ?", "two three", "thre")
    long = row("one " * 20, "two three " * 20, "two")
    with caplog.at_level(logging.WARNING):
        batch = features(read(inside, long), describe(), tokenizer)
    assert "1 of 2 answers begin or end inside of a token" in caplog.text
    assert "1 of 2 questions are longer than half of finetuning.max_seq_length" in caplog.text
    assert (batch["first_columns"][0], batch["last_columns"][0]) == ([2], [2])


def test_a_context_is_tokenised_once_for_all_of_its_questions(tokenizer: Tokenizer) -> None:
    context = "one two three " * 50
    examples = read(*(row(f"{word} ?", context, word) for word in WORDS[:3]))
    encoded = make_task().encode(examples, describe(), tokenizer=tokenizer)
    assert encoded.second.nrows() == 1
    assert encoded.features(tf.constant([2, 0]))["input_ids"].shape[0] == 2


def answers_to(examples: Examples, *, margins: list[float], **state: float) -> Any:
    """As of a model whose best answer is always the first word."""
    contexts = examples.inputs["context"]
    ends = np.array([context.index(" ") for context in contexts], np.int32)
    is_given = np.array(margins) <= state.get("threshold", np.inf)
    return {
        "start": np.zeros(len(contexts), np.int32),
        "end": np.where(is_given, ends, 0),
        "score": np.full(len(contexts), 0.5),
        "no_answer_margin": np.array(margins, np.float32),
        "n_best_starts": np.zeros((len(contexts), 2), np.int32),
        "n_best_ends": np.stack([ends, 0 * ends], axis=1),
        "n_best_scores": np.full((len(contexts), 2), 0.25),
    }


def test_the_threshold_of_no_answer_is_tuned_where_some_questions_have_none() -> None:
    task = make_task()
    examples = read(
        row("one ?", "two three", "two"),
        row("two ?", "one three", "one"),
        row("three ?", "five four"),
        row("four ?", "five one"),
    )
    description = describe(**task.learn(examples))
    assert description.task_state == {THRESHOLD: 0.0}
    outcomes = task.outcomes(examples, answers_to(examples, margins=[1.0, -1.0, 3.0, 4.0]))
    tuned = task.tune(outcomes, description)
    assert tuned.task_state[THRESHOLD] == pytest.approx(2.0)
    assert task.measure(outcomes)["exact_match"] == 0.5
    again = task.outcomes(
        examples, answers_to(examples, margins=[1.0, -1.0, 3.0, 4.0], threshold=2.0)
    )
    assert task.measure(again)["exact_match"] == 1.0
    assert task.tune(outcomes, describe()) == describe()  # trained on answerable questions alone


@pytest.mark.parametrize(("no_answer", "state"), [("never", {}), (1.5, {THRESHOLD: 1.5})])
def test_a_threshold_may_be_set(no_answer: Any, state: dict[str, float]) -> None:
    task = make_task(no_answer=no_answer)
    examples = read(row("one ?", "two three", "two"), row("two ?", "one three"))
    learnt = task.learn(examples)["task_state"]
    assert {name: it for name, it in learnt.items() if name != "settings"} == state
    outcomes = task.outcomes(examples, answers_to(examples, margins=[0.0, 1.0]))
    description = describe(task_state=learnt)
    assert task.tune(outcomes, description) == description


def test_questions_without_any_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one question must have an answer"):
        make_task().learn(read(row("one ?", "two")))


def test_answers_that_are_as_good_are_no_disagreement() -> None:
    task = make_task()
    answer = {
        "start": 0,
        "end": 3,
        "score": 0.41,
        "no_answer_margin": -1.0,
        "n_best_starts": [0, 4],
        "n_best_ends": [3, 9],
        "n_best_scores": [0.41, 0.40],
    }
    swapped = answer | {
        "start": 4,
        "end": 9,
        "score": 0.41,
        "n_best_starts": [4, 0],
        "n_best_ends": [9, 3],
    }
    assert task.disagreement(answer, answer, tolerance=1e-6) is None
    assert task.disagreement(answer, swapped, tolerance=0.02) is None
    assert "is answered with" in str(task.disagreement(answer, swapped, tolerance=0.001))
    assert "is answered with" in str(
        task.disagreement(answer, answer | {"score": 0.5}, tolerance=0.02)
    )


def test_two_replicas_and_micro_batches_measure_and_learn_what_one_does(
    tokenizer: Tokenizer,
) -> None:
    draw = random.Random(4)
    examples = read(*(random_question(draw, num_words=draw.randint(1, 30)) for _ in range(8)))
    task, description = make_task(), describe()
    encoded = task.encode(examples, description, tokenizer=tokenizer)
    batch = encoded.features(tf.range(8)) | {"weights": tf.ones(8)}
    model = task.make_model(description, dtype="float32", rematerialize=False)
    objective = task.objective(description)

    def gradients(rows: slice) -> tuple[Any, Any]:
        part = {name: values[rows] for name, values in batch.items()}
        with tf.GradientTape() as tape:
            loss = objective.sums(model(part), part).loss["answers"]
        found = tape.gradient(loss, [it.value for it in model.trainable_variables])
        return loss, [None if it is None else tf.convert_to_tensor(it) for it in found]

    loss, whole = gradients(slice(0, 8))
    parts = [gradients(slice(start, start + 2)) for start in range(0, 8, 2)]
    assert float(loss) == pytest.approx(sum(float(it) for it, _ in parts), rel=1e-5)
    for number, expected in enumerate(whole):
        if expected is not None:
            summed = sum(found[number] for _, found in parts)
            np.testing.assert_allclose(summed, expected, rtol=1e-3, atol=1e-5)
