"""Tags of each scheme, their order, and which may follow which, beside seqeval's."""

import itertools

import numpy as np
import pytest
from seqeval.scheme import IOB2, IOBES, Entities

from bert_tf.tasks.tag_set import TagSet, scheme_of

LABELS = ("LOC", "PER")


def test_a_head_has_an_output_for_each_tag():
    assert TagSet.of_labels(LABELS, scheme="bio").tags == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert TagSet.of_labels(("X",), scheme="iobes").tags == ("O", "B-X", "I-X", "E-X", "S-X")
    assert TagSet.of_labels(LABELS, scheme="plain").tags == ("O", *LABELS)


def test_labels_may_hold_dashes():
    tags = TagSet.of_labels(("B-52", "A"), scheme="bio")
    assert tags.labels == ("B-52", "A")
    assert TagSet.of_labels(("B-52", "A"), scheme="plain").labels == ("B-52", "A")


@pytest.mark.parametrize("tag", ["X-LOC", "LOC", "B-", "B"])
def test_a_tag_of_another_scheme_is_refused(tag):
    with pytest.raises(ValueError, match=f"Tags of the scheme bio must be O, or B, I .* '{tag}'"):
        TagSet(("O", tag), "bio")


@pytest.mark.parametrize(("scheme", "theirs"), [("bio", IOB2), ("iobes", IOBES)])
def test_just_the_sequences_are_allowed_that_seqeval_reads_whole(scheme, theirs):
    """Of all sequences of four tags: one is allowed where its tags are those of the entities that
    seqeval's strict reading finds in it, and nothing is left over."""
    tags = TagSet.of_labels(LABELS, scheme=scheme)
    allowed = tags.allowed_transitions()
    number = len(tags.tags)
    for ids in itertools.product(range(number), repeat=4):
        path = [number, *ids, number]
        is_allowed = all(allowed[a, b] for a, b in itertools.pairwise(path))
        names = [tags.tags[it] for it in ids]
        found = Entities([names], theirs).entities[0]
        covered = np.zeros(4, bool)
        for entity in found:
            covered[entity.start : entity.end] = True
        is_whole = all(covered[place] == (name != "O") for place, name in enumerate(names))
        assert is_allowed == is_whole, names


def test_any_plain_tag_may_follow_any():
    assert TagSet.of_labels(LABELS, scheme="plain").allowed_transitions().all()


def test_tags_are_found_by_name_in_a_head_of_any_order():
    tags = TagSet(("I-PER", "B-PER", "O"), "bio")
    found = tags.encode(
        np.array([-1, 0, 0, 0]),
        is_first=np.array([True, True, False, True]),
        is_last=np.array([True, False, True, True]),
    )
    assert [tags.tags[it] for it in found] == ["O", "B-PER", "I-PER", "B-PER"]


def test_single_and_last_units_have_their_own_tags():
    tags = TagSet.of_labels(LABELS, scheme="iobes")
    found = tags.encode(
        np.array([1, 0, 0, 0, -1]),
        is_first=np.array([True, True, False, False, True]),
        is_last=np.array([True, False, False, True, True]),
    )
    assert [tags.tags[it] for it in found] == ["S-PER", "B-LOC", "I-LOC", "E-LOC", "O"]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (["B-A", "O", "I-A"], "bio"),
        (["O", "B-A", "I-A", "E-A", "S-A"], "iobes"),
        (["LABEL_0", "LABEL_1"], None),
        (["O", "B-A"], None),
        (["O"], None),
    ],
)
def test_the_scheme_of_a_foreign_head_is_known_by_its_tags(tags, scheme):
    assert scheme_of(tags) == scheme
