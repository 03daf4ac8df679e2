"""Scores of tokens to labelled parts of a text, in the graph, beside plain Python."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.tasks.entities import entities_of, tags_of, units_of
from bert_tf.tasks.tag_set import TagSet
from bert_tf.tasks.text_parts import parts_of_texts

LABELS = ("LOC", "PER")
SCHEMES = ("bio", "iobes", "plain")


def random_tokens(seed: int, *, num_texts: int = 5, length: int = 7, num_tags: int):
    """Logits and offsets of random words: pieces lie side by side, words have a space between."""
    draw = np.random.default_rng(seed)
    starts, ends, begins = (np.zeros((num_texts, length), np.int32) for _ in range(3))
    for row in range(num_texts):
        place = 0
        for token in range(1, 1 + draw.integers(0, length - 1)):  # [CLS] first, [SEP] behind
            begins[row, token] = token == 1 or draw.random() < 0.6
            place += int(begins[row, token] and token > 1)
            starts[row, token] = place
            place += draw.integers(1, 4)
            ends[row, token] = place
    # Where there is no text both are the same number, whatever it is.
    starts[ends == 0] = ends[ends == 0] = 99
    logits = draw.normal(size=(num_texts, length, num_tags)).astype(np.float32) * 2
    return logits, starts, ends, begins


def best_sequence(scores: np.ndarray, tags: TagSet, weights: np.ndarray | None = None) -> list[int]:
    """By trying all."""
    allowed, number = tags.allowed_transitions(), len(tags.tags)
    weights = np.zeros(allowed.shape) if weights is None else weights
    found = [
        (
            sum(scores[place, tag] for place, tag in enumerate(ids))
            + sum(weights[a, b] for a, b in itertools.pairwise([number, *ids, number])),
            ids,
        )
        for ids in itertools.product(range(number), repeat=len(scores))
        if all(allowed[a, b] for a, b in itertools.pairwise([number, *ids, number]))
    ]
    return list(max(found)[1])


def expected_entities(logits, starts, ends, begins, tags: TagSet, *, units: str):
    """What is said of one text."""
    shown = np.flatnonzero(starts < ends)
    groups: list[list[int]] = []
    for token in shown:
        gap = token == shown[0] or starts[token] > ends[token - 1]
        is_new = {"pieces": True, "words": begins[token], "spaced_words": gap}[units]
        if is_new or not groups:
            groups.append([token])
        else:
            groups[-1].append(token)
    scores = logits[[group[0] for group in groups]].reshape(len(groups), -1)
    scores = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    entities: list[list] = []
    for group, tag, row in zip(groups, best_sequence(scores, tags), scores, strict=True):
        if tags.tags[tag] == "O":
            continue
        if tags.begins[tag]:
            entities.append([starts[group[0]], 0, tags.label_of[tag], []])
        entities[-1][1] = ends[group[-1]]
        entities[-1][3].append(np.exp(row[tag]))
    return [(start, end, label, np.mean(found)) for start, end, label, found in entities]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("units", ["words", "pieces", "spaced_words"])
def test_entities_are_those_of_the_best_valid_sequence(scheme, units):
    tags = TagSet.of_labels(LABELS if scheme != "iobes" else LABELS[:1], scheme=scheme)
    logits, starts, ends, begins = random_tokens(3, num_tags=len(tags.tags))
    found_units = units_of(
        tf.constant(logits),
        starts=tf.constant(starts),
        ends=tf.constant(ends),
        begins_word=tf.constant(begins),
        kind=units,
    )
    answers = entities_of(found_units, tags_of(found_units.logits, tags), tags)
    answers = {name: value.numpy() for name, value in answers.items()}
    total = 0
    for row in range(len(logits)):
        wanted = expected_entities(
            logits[row], starts[row], ends[row], begins[row], tags, units=units
        )
        number = answers["num_entities"][row]
        total += number
        assert number == len(wanted)
        got = [
            answers[f"entity_{name}"][row, :number]
            for name in ("starts", "ends", "labels", "scores")
        ]
        for (start, end, label, score), *one in zip(wanted, *got, strict=True):
            assert (start, end, label.encode()) == tuple(one[:3])
            assert one[3] == pytest.approx(score, rel=1e-5)
        for name in ("starts", "ends", "scores"):
            assert not answers[f"entity_{name}"][row, number:].any()
    assert total > 3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_learnt_weights_of_transitions_count(scheme):
    tags = TagSet.of_labels(LABELS[:1], scheme=scheme)
    number = len(tags.tags)
    draw = np.random.default_rng(6)
    logits = [draw.normal(size=(length, number)).astype(np.float32) for length in (4, 1, 5)]
    weights = 2 * draw.normal(size=(number + 1, number + 1)).astype(np.float32)
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(logits), [4, 1, 5])
    found = tags_of(ragged, tags, tf.constant(weights)).tags.to_list()
    apart = tags_of(ragged, tags).tags.to_list()
    assert found == [best_sequence(scores, tags, weights) for scores in logits]
    assert found != apart


@pytest.mark.parametrize("scheme", SCHEMES)
def test_with_weights_probabilities_are_those_of_all_valid_sequences(scheme):
    tags = TagSet.of_labels(LABELS[:1], scheme=scheme)
    number, lengths = len(tags.tags), (3, 0, 1, 4)
    draw = np.random.default_rng(5)
    logits = [draw.normal(size=(length, number)).astype(np.float32) for length in lengths]
    weights = draw.normal(size=(number + 1, number + 1)).astype(np.float32)
    ragged = tf.RaggedTensor.from_row_lengths(np.concatenate(logits), lengths)
    found = tags_of(ragged, tags, tf.constant(weights))
    allowed = tags.allowed_transitions()
    for scores, own, told in zip(
        logits, found.tags.to_list(), found.probabilities.to_list(), strict=True
    ):
        sums = np.zeros_like(scores)
        for sequence in itertools.product(range(number), repeat=len(scores)):
            steps = list(itertools.pairwise((number, *sequence, number)))
            if all(allowed[step] for step in steps):
                total = sum(weights[step] for step in steps)
                total += sum(row[tag] for row, tag in zip(scores, sequence, strict=True))
                sums[np.arange(len(scores)), sequence] += np.exp(total)
        expected = sums / sums.sum(axis=1, keepdims=True)
        assert told == pytest.approx(list(expected[np.arange(len(own)), own]), abs=1e-5)


@pytest.mark.parametrize("num_texts", [0, 2])
def test_texts_without_words_have_no_entities(num_texts):
    tags = TagSet.of_labels(LABELS, scheme="bio")
    zeros = tf.zeros([num_texts, 2], tf.int32)
    units = units_of(
        tf.zeros([num_texts, 2, 5]), starts=zeros, ends=zeros, begins_word=zeros, kind="words"
    )
    answers = entities_of(units, tags_of(units.logits, tags), tags)
    assert answers["entity_starts"].shape == (num_texts, 0)
    assert answers["num_entities"].numpy().tolist() == [0] * num_texts


def test_the_text_of_an_entity_is_cut_out_by_code_points():
    texts = tf.constant(["김연아는 👩‍👩‍👧 봤다", ""])
    starts, ends = tf.constant([[0, 5], [0, 0]]), tf.constant([[3, 10], [0, 0]])
    found = parts_of_texts(texts, starts, ends).numpy().tolist()
    assert [[it.decode() for it in row] for row in found] == [["김연아", "👩‍👩‍👧"], ["", ""]]
