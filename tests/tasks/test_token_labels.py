"""The task `token_labels`: labels of tokens from labelled parts of texts, loss, answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.data.tables.table import Table
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.tasks.models import load_model
from bert_tf.tasks.table import find_task
from bert_tf.tasks.token_labels import TokenLabels
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.strategy import make_strategy
from bert_tf.training.stages.held_out import HeldOut

WORDS = ["ada", "love", "##lace", "wrote", "경찰", "##은", "조사", "##했다", ".", "-"]
SHAPE = {
    "vocab_size": 15,
    "num_hidden_layers": 1,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS], lower_case=True)


def make_task(**settings) -> TokenLabels:
    return find_task("token_labels").with_options(settings, name="token_labels")


def read(task: TokenLabels, texts: list[str], entities: list[list[tuple[int, int, str]]]):
    spans = [[{"start": s, "end": e, "label": it} for s, e, it in of] for of in entities]
    table = Table.from_columns({"text": texts, "entities": spans})
    return task.read(table, FinetuningConfig())


def describe(task: TokenLabels, examples, *, max_seq_length: int = 16) -> ModelDescription:
    return ModelDescription(
        kind="token_labels",
        architecture=SHAPE,
        max_seq_length=max_seq_length,
        **task.learn(examples),
    )


def tags_of_tokens(task, examples, tokenizer, *, max_seq_length=16) -> list[list[str | None]]:
    """Of each text the tag of each token; None of a token that has none."""
    description = describe(task, examples, max_seq_length=max_seq_length)
    encoded = task.encode(examples, description, tokenizer=tokenizer)
    batch = encoded.features(tf.range(len(examples)))
    names = description.class_names
    return [
        [names[tag] if weight else None for tag, weight in zip(*row, strict=True)]
        for row in zip(batch["labels"].numpy(), batch["label_weights"].numpy(), strict=True)
    ]


def test_the_first_piece_of_a_word_has_its_label(tokenizer):
    task = make_task()
    examples = read(task, ["Ada Lovelace wrote."], [[(0, 12, "PER")]])
    #            [CLS]  ada      love   ##lace wrote .   [SEP]  padding
    expected = [None, "B-PER", "I-PER", None, "O", "O", None, None]
    assert tags_of_tokens(task, examples, tokenizer) == [expected]


def test_a_label_that_ends_inside_of_a_word_is_exact_with_pieces(tokenizer, caplog):
    texts, entities = ["경찰은 조사했다"], [[(0, 2, "OG")]]
    task = make_task(units="pieces")
    expected = [None, "B-OG", "O", "O", "O", None, None, None]
    assert tags_of_tokens(task, read(task, texts, entities), tokenizer) == [expected]
    assert not caplog.records
    task = make_task()
    tags_of_tokens(task, read(task, texts, entities), tokenizer)
    assert "1 words or pieces are labelled in part only, of 1 labelled parts" in caplog.text
    assert "finetuning.task.units=pieces" in caplog.text


def test_neighbours_of_one_label_stay_two(tokenizer):
    task = make_task()
    examples = read(task, ["ada lovelace"], [[(0, 3, "PER"), (4, 12, "PER")]])
    assert tags_of_tokens(task, examples, tokenizer)[0][:4] == [None, "B-PER", "B-PER", None]


def test_spaced_words_have_one_label_whatever_is_in_them(tokenizer):
    task = make_task(units="spaced_words", model_scheme="plain")
    examples = read(task, ["ada-love wrote."], [[(0, 8, "NOUN"), (9, 15, "VERB")]])
    expected = [None, "NOUN", None, None, "VERB", None, None, None]
    assert tags_of_tokens(task, examples, tokenizer) == [expected]


def test_what_is_cut_off_has_no_label_and_the_rest_keeps_its_own(tokenizer):
    task = make_task()
    texts = ["wrote wrote wrote wrote wrote wrote wrote ada", "ada wrote"]
    examples = read(task, texts, [[(42, 45, "PER")], [(0, 3, "PER")]])
    found = tags_of_tokens(task, examples, tokenizer, max_seq_length=8)
    assert found[0] == [None, *["O"] * 6, None]
    assert found[1] == [None, "B-PER", "O", *[None] * 5]


def test_batches_have_any_rows_in_any_order(tokenizer):
    task = make_task()
    texts = ["ada wrote", ".", "wrote ada lovelace wrote", "ada"]
    entities = [[(0, 3, "PER")], [], [(6, 18, "PER")], []]
    examples = read(task, texts, entities)
    encoded = task.encode(examples, describe(task, examples), tokenizer=tokenizer)
    alone = encoded.features(tf.constant([2]))
    among = encoded.features(tf.constant([3, 2, 1]))
    width = alone["labels"].shape[1]
    for name in ("labels", "label_weights", "token_starts", "token_ends", "begins_word"):
        np.testing.assert_array_equal(among[name][1, :width], alone[name][0])
        assert among[name].shape == among["input_ids"].shape
    assert among["label_weights"].numpy().sum(axis=1).tolist() == [1, 4, 1]


def test_the_loss_is_a_mean_over_labelled_tokens(tokenizer):
    task = make_task()
    examples = read(task, ["ada wrote", "lovelace"], [[(0, 3, "PER")], []])
    description = describe(task, examples)
    batch = task.encode(examples, description, tokenizer=tokenizer).features(tf.range(2))
    batch["weights"] = tf.ones([2])
    objective = task.objective(description)
    logits = tf.random.stateless_normal([*batch["labels"].shape, 3], seed=(1, 2))
    sums = objective.sums({"logits": logits}, batch)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["labels"], logits).numpy()
    counted = batch["label_weights"].numpy() > 0
    assert counted.sum() == 3
    assert float(objective.weights(batch)["token_labels"]) == 3
    assert float(sums.loss["token_labels"]) == pytest.approx(losses[counted].sum(), rel=1e-5)


def test_replicas_measure_together_what_one_does(tokenizer):
    task = make_task()
    texts = ["ada wrote", "lovelace .", "ada - " * 4, "wrote", "ada ada", "경찰은 - 조사했다 . ada"]
    entities = [[(0, 3, "PER")], [(0, 8, "PER")], [(6, 9, "PER")], [], [], [(13, 16, "PER")]]
    examples = read(task, texts, entities)
    description = describe(task, examples)
    held_out = HeldOut(task, examples, description, tokenizer=tokenizer, batch_size=4)
    measured, answers = [], []
    for num_replicas in (1, 2):
        strategy = make_strategy(num_logical_devices=num_replicas)
        with strategy.scope():
            keras.utils.set_random_seed(1)
            model = task.make_model(description, dtype="float32", rematerialize=False)
        evaluation = Evaluation(
            model,
            task.objective(description),
            held_out.batches,
            strategy=strategy,
            rate=lambda outputs: answers.append(outputs) or held_out.rate(outputs),
        )
        measured.append(evaluation())
    assert measured[1] == pytest.approx(measured[0], rel=1e-5)
    assert {name: it.shape for name, it in answers[0].items()} == {
        name: it.shape for name, it in answers[1].items()
    }
    assert answers[0]["logits"].shape[:2] == (6, 16)


def test_a_label_that_the_training_data_has_not_is_refused(tokenizer):
    task = make_task()
    description = describe(task, read(task, ["ada"], [[(0, 3, "PER")]]))
    other = read(task, ["ada"], [[(0, 3, "LOC")]])
    with pytest.raises(ValueError, match="every label must be one of the training data's: PER"):
        task.encode(other, description, tokenizer=tokenizer)


def test_texts_without_any_label_teach_nothing():
    task = make_task()
    with pytest.raises(ValueError, match="at least one text must have a labelled part"):
        task.learn(read(task, ["ada"], [[]]))


def test_pairs_are_refused():
    table = Table.from_columns({"text": ["a"], "entities": [[]], "b": ["c"]})
    with pytest.raises(ValueError, match="text_pair_field must be left out"):
        make_task().read(table, FinetuningConfig(text_pair_field="b"))


def test_answers_differ_by_place_label_and_score():
    task = make_task()

    def answer(*entities):
        columns = zip(*entities, strict=True) if entities else ([], [], [], [])
        names = ("entity_starts", "entity_ends", "entity_labels", "entity_scores")
        return dict(zip(names, map(list, columns), strict=True)) | {"num_entities": len(entities)}

    expected = answer((0, 3, b"PER", 0.9))
    same = answer((0, 3, "PER", 0.91), (0, 0, "", 0.0)) | {"num_entities": 1}
    assert task.disagreement(expected, same, tolerance=0.02) is None
    for other in (answer(), answer((0, 4, "PER", 0.9)), answer((0, 3, "PER", 0.5))):
        told = task.disagreement(expected, other, tolerance=0.02)
        assert told is not None
        assert told.startswith("PER 0-3 is answered with ")


def test_sequences_are_learnt_with_the_weights_of_their_transitions(tokenizer, tmp_path):
    """Every word is the same one, and every second of them is labelled: tags follow tags."""
    task = make_task(crf=True)
    places = [[(4 * number, 4 * number + 3, "X") for number in range(0, 6, 2)]]
    examples = read(task, ["ada " * 6] * 4, places * 4)
    description = describe(task, examples)
    encoded = task.encode(examples, description, tokenizer=tokenizer)
    batch = encoded.features(tf.range(4)) | {"weights": tf.ones(4)}
    # Words know nothing of their positions: all have the same scores.
    batch["input_ids"] = tf.fill(tf.shape(batch["input_ids"]), tokenizer.pad_id)
    keras.utils.set_random_seed(1)
    model = task.make_model(description, dtype="float32", rematerialize=False)
    for weight in model.weights:
        if "position" in weight.path:
            weight.assign(tf.zeros(weight.shape))
    head = [it for it in model.trainable_variables if "encoder" not in it.path]
    assert {tuple(it.shape) for it in head} >= {(4, 4)}
    objective, optimizer = task.objective(description), keras.optimizers.Adam(0.2)
    losses = []
    for _ in range(60):
        with tf.GradientTape() as tape:
            sums = objective.sums(model(batch), batch)
            loss = sums.loss["token_labels"] / objective.weights(batch)["token_labels"]
        losses.append(float(loss))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, [it.value for it in head]), head, strict=True)
        )
    # 233 sequences of six tags are valid (I follows B or I), all nearly as likely at first.
    assert losses[0] == pytest.approx(np.log(233) / 6, abs=0.05)
    assert losses[-1] < 0.05
    spans = task.decode(model(batch), description)
    assert spans["entity_starts"].numpy()[0].tolist() == [0, 8, 16]
    # Apart from one another the words cannot be told; in their sequence they are.
    assert tf.nn.softmax(model(batch)["logits"]).numpy()[0].max() < 0.9
    assert spans["entity_scores"].numpy()[0].min() > 0.9
    save_model(model, description, tmp_path)
    again = load_model(tmp_path)(batch)
    np.testing.assert_array_equal(again["transitions"], model(batch)["transitions"])
    tokenizer.save(tmp_path)
    with pytest.raises(
        ValueError, match="one of token_labels with weights that are the task's own"
    ):
        convert_checkpoint(tmp_path, tmp_path / "there", target_format="huggingface")
