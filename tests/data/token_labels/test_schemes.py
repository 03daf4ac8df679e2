"""Tags and runs of words: both ways, and beside seqeval."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB2, IOBES, Entities

from bert_tf.data.tables.faults import ExampleError
from bert_tf.data.token_labels.schemes import Run, TagForm, runs_of, tags_of

WITH_LETTERS = ["BIO", "IOB1", "BIOES", "BILOU"]
LABELS = ["PER", "LOC", "B", "I-PER", "인명"]
NUM_SEQUENCES = 1000


@st.composite
def runs_of_words(draw: st.DrawFn, *, min_gap: int = 0) -> tuple[list[Run], int]:
    runs: list[Run] = []
    end = 0
    for label in draw(st.lists(st.sampled_from(LABELS), max_size=6)):
        start = end + draw(st.integers(min_gap, 3))
        end = start + draw(st.integers(1, 4))
        runs.append(Run(start, end, label))
    return runs, end + draw(st.integers(0, 2))


@given(runs_of_words(), st.sampled_from(WITH_LETTERS), st.sampled_from("-_"), st.booleans())
def test_runs_become_tags_and_the_same_runs_again(
    drawn: tuple[list[Run], int], scheme: str, separator: str, is_label_first: bool
) -> None:
    runs, num_words = drawn
    form = TagForm(scheme, separator, is_label_first)
    tags = tags_of(runs, num_words=num_words, form=form)
    assert len(tags) == num_words
    assert runs_of(tags, form=form) == runs
    assert tags_of(runs_of(tags, form=form), num_words=num_words, form=form) == tags


@given(runs_of_words(min_gap=1))
def test_runs_apart_become_tags_without_letters_and_the_same_runs_again(
    drawn: tuple[list[Run], int],
) -> None:
    runs, num_words = drawn
    form = TagForm("IO")
    assert runs_of(tags_of(runs, num_words=num_words, form=form), form=form) == runs


def test_plain_tags_are_a_run_a_word() -> None:
    form = TagForm("plain")
    runs = [Run(0, 1, "NNG"), Run(1, 2, "NNG"), Run(2, 3, "O")]
    assert runs_of(["NNG", "NNG", "O"], form=form) == runs
    assert tags_of(runs, num_words=3, form=form) == ["NNG", "NNG", "O"]


@pytest.mark.parametrize(
    ("form", "tags"),
    [
        (TagForm("BIO"), "B-X I-X B-X O"),
        (TagForm("IOB1"), "I-X I-X B-X O"),
        (TagForm("BIOES"), "B-X E-X S-X O"),
        (TagForm("BILOU"), "B-X L-X U-X O"),
        (TagForm("BIO", "_", True), "X_B X_I X_B -"),
    ],
)
def test_each_scheme_writes_two_runs_side_by_side(form: TagForm, tags: str) -> None:
    assert runs_of(tags.split(), form=form) == [Run(0, 2, "X"), Run(2, 3, "X")]


def random_tags(letters: str, *, seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    tags = ["O", *(f"{letter}-{label}" for letter in letters for label in ("PER", "LOC"))]
    return [draw.choices(tags, k=draw.randint(1, 12)) for _ in range(NUM_SEQUENCES)]


@pytest.mark.parametrize(("scheme", "letters"), [("BIO", "BI"), ("IOB1", "BI"), ("BIOES", "BIES")])
def test_any_tags_are_read_as_seqeval_does_by_default(scheme: str, letters: str) -> None:
    form = TagForm(scheme)
    for tags in random_tags(letters, seed=1):
        expected = [(label, start, end + 1) for label, start, end in get_entities(tags)]
        assert [(run.label, run.start, run.end) for run in runs_of(tags, form=form)] == expected


@pytest.mark.parametrize(
    ("scheme", "letters", "theirs"),
    [("BIO", "BI", IOB2), ("BIOES", "BIES", IOBES), ("BILOU", "BILU", BILOU)],
)
def test_runs_are_well_formed_where_seqeval_finds_them_in_strict_mode(
    scheme: str, letters: str, theirs: type
) -> None:
    sequences = random_tags(letters, seed=2)
    expected = Entities(sequences, scheme=theirs).entities
    num_broken = 0
    for tags, entities in zip(sequences, expected, strict=True):
        runs = runs_of(tags, form=TagForm(scheme))
        good = [(run.label, run.start, run.end) for run in runs if run.is_well_formed]
        assert good == [(entity.tag, entity.start, entity.end) for entity in entities]
        num_broken += len(runs) - len(good)
    assert num_broken > 100


def test_one_kind_of_b_is_as_iob1_has_it() -> None:
    runs = runs_of(["I-X", "B-X", "O", "B-X", "I-Y", "B-X"], form=TagForm("IOB1"))
    assert [run.is_well_formed for run in runs] == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("form", "tag", "message"),
    [
        (
            TagForm("BIO"),
            "S-PER",
            r"the scheme BIO \(B-LABEL\), with a letter of B, I or O\. .*'S-",
        ),
        (TagForm("BIO"), "PER", "Received: 'PER'"),
        (TagForm("BIO", "_"), "B-PER", r"BIO \(B_LABEL\)"),
        (TagForm("BIOES"), "L-PER", "with a letter of B, I, E, S or O"),
        (TagForm("BILOU"), "S-PER", "with a letter of B, I, L, U or O"),
        (TagForm("BIO"), "B-", "every tag must have a label. Received: 'B-'"),
        (TagForm("plain"), "", "every tag must have a label. Received: ''"),
    ],
)
def test_tags_of_no_scheme_are_refused(form: TagForm, tag: str, message: str) -> None:
    with pytest.raises(ExampleError, match=message):
        runs_of(["O" if form.scheme != "plain" else "X", tag], form=form)


def test_runs_that_a_scheme_has_no_tags_for_are_refused() -> None:
    side_by_side = [Run(0, 1, "X"), Run(1, 2, "X")]
    with pytest.raises(ValueError, match=r"scheme IO must .* two runs of 'X' side by side"):
        tags_of(side_by_side, num_words=2, form=TagForm("IO"))
    with pytest.raises(ValueError, match=r"scheme plain must .* words without a label"):
        tags_of(side_by_side, num_words=3, form=TagForm("plain"))
    with pytest.raises(ValueError, match="inside of 2 words and not overlap"):
        tags_of([Run(0, 2, "X"), Run(1, 2, "Y")], num_words=2, form=TagForm("BIO"))
    with pytest.raises(ValueError, match=r"must be one of BIO, IOB1, .*'IOB7'"):
        TagForm("IOB7")  # type: ignore[arg-type]
