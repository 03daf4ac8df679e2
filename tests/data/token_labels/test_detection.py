"""Which scheme tags are written in is seen in them, or asked for."""

from typing import Any

import pytest

from bert_tf.data.token_labels.detection import detect_form
from bert_tf.data.token_labels.schemes import TagForm


def detect(*texts: str, **options: Any) -> TagForm:
    return detect_form([text.split() for text in texts], where="a.conll:{}".format, **options)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["B-PER I-PER O", "O B-LOC"], TagForm("BIO")),
        (["B-PER B-PER O"], TagForm("BIO")),
        (["O O"], TagForm("BIO")),
        (["I-PER I-PER O", "O I-LOC B-LOC"], TagForm("IOB1")),
        (["I-PER O"], TagForm("IOB1")),
        (["I-PER O", "B-PER O", "O B-LOC I-LOC"], TagForm("BIO")),  # one run to be repaired
        (["I-PER O", "B-PER O", "O I-LOC I-LOC"], TagForm("IOB1")),
        (["B-PER E-PER O S-LOC"], TagForm("BIOES")),
        (["S-LOC"], TagForm("BIOES")),
        (["B-PER I-PER L-PER O U-LOC"], TagForm("BILOU")),
        (["PER_B PER_I - DAT_B"], TagForm("BIO", "_", True)),
        (["PER-B PER-E O"], TagForm("BIOES", "-", True)),
        (["B_PER I_PER O"], TagForm("BIO", "_")),
        (["B-I_X I-I_X O"], TagForm("BIO")),
        (["B-per I-per O"], TagForm("BIO")),
        (["NNP VBZ -LRB- ."], TagForm("plain")),
        (["N O V"], None),
        (["PER PER O"], None),
    ],
)
def test_the_scheme_is_seen(texts: list[str], form: TagForm | None) -> None:
    if form is not None:
        assert detect(*texts) == form
        return
    with pytest.raises(ValueError, match=r"a\.conll:0, token \d: tags without .*IO if O is a word"):
        detect(*texts)
    for scheme in ("IO", "plain"):
        assert detect(*texts, scheme=scheme) == TagForm(scheme)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["B-PER O", "O LOC"],
            r"a\.conll:1, token 2: all tags must have a letter .*'LOC'; but 'B-PER', first at "
            r"a\.conll:0, token 1",
        ),
        (["B-PER I-PER O", "B_LOC"], r"a\.conll:1, token 1: .*'B_LOC'; but 'B-PER', 'I-PER'"),
        (["B-PER O", "PER_B PER_I PER_E"], r"a\.conll:0, token 1: .*'B-PER'; but 'PER_B'"),
        (
            ["B-PER L-PER", "O S-LOC"],
            r"a\.conll:1, token 2: all tags must be of one scheme, BIOES or BILOU.*'S-LOC'; but "
            r"'L-PER', first at a\.conll:0, token 2",
        ),
        (
            ["S-LOC O B-PER E-PER", "O B-PER I-PER O"],
            r"a\.conll:1: all tags must be of one scheme\. Received: B-PER, I-PER for tokens 2 to "
            r"3, which BIOES does not write so, as in 1 of 2 texts.*but 'S-LOC' at a\.conll:0, "
            r"token 1",
        ),
        (["B I O"], r"a\.conll:0, token 1: tags with a letter must have a label.*Write B-ENTITY"),
        (["o b-per i-per"], r"token 2: letters of tags must be capitals.*Write B-PER for b-per"),
    ],
)
def test_tags_that_contradict_every_scheme_are_shown(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detect(*texts)


def test_a_scheme_that_is_given_is_taken_and_its_writing_seen() -> None:
    assert detect("PER_B O", "LOC", scheme="IOB1") == TagForm("IOB1", "_", True)
    assert detect("S-A", "B-A I-A", scheme="BIOES") == TagForm("BIOES")
    assert detect("B I O", scheme="plain") == TagForm("plain")
