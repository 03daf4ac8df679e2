import pytest

from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.vocabulary_report import measure_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer

TOKENS = [*CONTROL_TOKENS, "low", "##er", "##est", "new", "l", "n", ".", "[unused0]"]


def test_shares_are_those_worked_out_by_hand() -> None:
    report = measure_vocabulary(WordPieceTokenizer(TOKENS), ["low lower new 中", "", "newest."])
    assert (report.num_documents, report.num_words, report.num_tokens) == (3, 6, 8)
    assert report.num_unknown == 1
    assert report.num_whole_words == 3, "low, new and the full stop"
    assert report.coverage == pytest.approx(5 / 6)
    assert report.unknown_rate == pytest.approx(1 / 8)
    assert report.fertility == pytest.approx(8 / 6)
    assert report.num_characters == 19
    assert dict(report.missing_characters) == {
        "o": 2,
        "w": 4,
        "e": 4,
        "r": 1,
        "中": 1,
        "s": 1,
        "t": 1,
    }


def test_no_text_gives_zeros() -> None:
    report = measure_vocabulary(WordPieceTokenizer(TOKENS), [])
    assert (report.coverage, report.unknown_rate, report.fertility) == (0.0, 0.0, 0.0)
    assert "no held-out text" in report.summary()


def test_many_documents_give_the_sum_of_their_counts() -> None:
    texts = ["low lower", "newest 中 ."] * 300
    report = measure_vocabulary(WordPieceTokenizer(TOKENS), texts)
    assert (report.num_documents, report.num_words, report.num_tokens) == (600, 1500, 2100)
