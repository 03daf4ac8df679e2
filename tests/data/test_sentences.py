import pytest
import tensorflow as tf

from bert_tf.data.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Kim met J. R. Smith, e.g. at 3.14 p.m. today. Then 2.0.1 came out.",
         ["Dr. Kim met J. R. Smith, e.g. at 3.14 p.m. today.", "Then 2.0.1 came out."]),
        ("1. First item. 2. Second", ["1. First item.", "2. Second"]),
        ("It was in 1999. Then it ended.", ["It was in 1999.", "Then it ended."]),
        ("Well... maybe. He said \"No!\" and left. (See below.) End.",
         ["Well... maybe.", 'He said "No!" and left.', "(See below.)", "End."]),
        ("lower case . also splits ! yes", ["lower case .", "also splits !", "yes"]),
        ("영화가 정말 좋았다. 다시 보고 싶다! 정말? 네... 그래요ㅋㅋ 끝.",
         ["영화가 정말 좋았다.", "다시 보고 싶다!", "정말?", "네...", "그래요ㅋㅋ 끝."]),
        ("재미있다.다시 봤어요!!또 봐요", ["재미있다.", "다시 봤어요!!", "또 봐요"]),
        ("3.1운동과 서울.부산", ["3.1운동과 서울.부산"]),
        ("我喜欢这个。你呢？好的！再见。", ["我喜欢这个。", "你呢？", "好的！", "再见。"]),
        ("これは本です。「はい。」と言った。終わり",
         ["これは本です。", "「はい。」と言った。", "終わり"]),
        ("no stop at all", ["no stop at all"]),
        ("  . . ! ", [".", ".", "!"]),
        ("", []),
        ("   ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    (sentences,) = split_sentences(tf.constant([text])).to_list()
    assert [sentence.decode() for sentence in sentences] == expected


def test_rows_stay_apart_and_invalid_utf8_is_replaced() -> None:
    sentences = split_sentences(tf.constant([b"A b. C", b"", b"x\xff. y"]))
    assert sentences.to_list() == [[b"A b.", b"C"], [], ["x\ufffd.".encode(), b"y"]]
