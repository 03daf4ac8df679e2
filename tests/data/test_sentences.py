from itertools import product
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf.data.text import sentences
from bert_tf.data.text.sentences import split_sentences


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
         ["영화가 정말 좋았다.", "다시 보고 싶다!", "정말?", "네...", "그래요ㅋㅋ", "끝."]),
        ("재미있다.다시 봤어요!!또 봐요", ["재미있다.", "다시 봤어요!!", "또 봐요"]),
        ("3.1운동과 서울.부산", ["3.1운동과 서울.부산"]),
        ("我喜欢这个。你呢？好的！再见。", ["我喜欢这个。", "你呢？", "好的！", "再见。"]),
        ("これは本です。「はい。」と言った。終わり",
         ["これは本です。", "「はい。」と言った。", "終わり"]),
        ("他说：“你好。”然后走了。“我不去。”她说。半角!英文?好……吧",
         ["他说：“你好。”然后走了。", "“我不去。”她说。", "半角!", "英文?", "好……吧"]),
        ("मैं ठीक हूँ। तुम कहाँ हो?यह 3.5 है॥ठीक।",
         ["मैं ठीक हूँ।", "तुम कहाँ हो?यह 3.5 है॥", "ठीक।"]),
        ("كيف حالك؟ أنا بخير. شكرا!", ["كيف حالك؟", "أنا بخير.", "شكرا!"]),
        ("آپ کیسے ہیں؟ میں ٹھیک ہوں۔شکریہ۔", ["آپ کیسے ہیں؟", "میں ٹھیک ہوں۔", "شکریہ۔"]),
        ("Բարեւ։ Ինչպե՞ս ես: Լավ եմ։", ["Բարեւ։", "Ինչպե՞ս ես:", "Լավ եմ։"]),
        ("ሰላም። እንዴት ነህ፧ ደህና ነኝ።እሺ", ["ሰላም።", "እንዴት ነህ፧", "ደህና ነኝ።", "እሺ"]),
        ("မင်္ဂလာပါ။ နေကောင်းလား။ကောင်းပါတယ်", ["မင်္ဂလာပါ။", "နေကောင်းလား။", "ကောင်းပါတယ်"]),
        ("Τι κάνεις; Καλά είμαι. Εσύ\u037e Ναι", ["Τι κάνεις;", "Καλά είμαι.", "Εσύ\u037e", "Ναι"]),
        ("one; two: three", ["one; two: three"]),
        ("สวัสดีครับทุกคน วันนี้อากาศดีมาก 3 วัน ไป", ["สวัสดีครับทุกคน", "วันนี้อากาศดีมาก 3 วัน ไป"]),
        ("А. С. Пушкин родился. Т.е. да, т. е. так. США. Потом",
         ["А. С. Пушкин родился.", "Т.е. да, т. е. так.", "США.", "Потом"]),
        ("Am z.B. Dr. Müller. ¿Qué? ¡No! Sí.", ["Am z.B. Dr. Müller.", "¿Qué?", "¡No!", "Sí."]),
        ("It is in the U.S. The U.S. Army left at 5 p.m. We know, etc. But no.",
         ["It is in the U.S.", "The U.S. Army left at 5 p.m.", "We know, etc.", "But no."]),
        ("See No. 5 and p. 3. No. Really. Wait?! Yes.",
         ["See No. 5 and p. 3.", "No.", "Really.", "Wait?!", "Yes."]),
        ("See http://a.org/b.c?d=e. Or www.x.com today. It costs $3.50.",
         ["See http://a.org/b.c?d=e.", "Or www.x.com today.", "It costs $3.50."]),
        ("He left ( see below . ) The end [...] came.",
         ["He left ( see below . )", "The end [...] came."]),
        ("꼭 보세요 재미있었어요 ㅎㅎ 또 봤습니다 ^^ 좋았다 이거ㅋㅋㅋ 진짜",
         ["꼭 보세요", "재미있었어요 ㅎㅎ", "또 봤습니다 ^^", "좋았다", "이거ㅋㅋㅋ 진짜"]),
        ("갔었다 하면 필요 없다. 중요 사항", ["갔었다 하면 필요 없다.", "중요 사항"]),
        ("뭐?할리우드의 정말...좋네..그래!!또",
         ["뭐?", "할리우드의 정말...좋네..", "그래!!", "또"]),
        ("그는 “가자.” 라고 했다. “가자.”라고 했다. 2020. 1. 3. 개봉했다. 5.18도.",
         ["그는 “가자.” 라고 했다.", "“가자.”라고 했다.", "2020. 1. 3. 개봉했다.", "5.18도."]),
        ("no stop at all", ["no stop at all"]),
        ("  . . ! ", [".", ".", "!"]),
        ("", []),
        ("   ", []),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str]) -> None:
    (sentences,) = split_sentences(tf.constant([text])).to_list()
    assert [sentence.decode() for sentence in sentences] == expected


def test_no_character_but_white_space_is_lost_on_real_text(shared_data: Path) -> None:
    lines = (shared_data / "ko" / "reviews.txt").read_text("utf-8").splitlines()[:3000]
    lines += (shared_data / "en" / "wikitext2_valid.txt").read_text("utf-8").splitlines()[:500]
    for line, parts in zip(lines, split_sentences(tf.constant(lines)).to_list(), strict=True):
        assert "".join(line.split()) == "".join(b"".join(parts).decode().split())


def test_rows_stay_apart_and_invalid_utf8_is_replaced() -> None:
    sentences = split_sentences(tf.constant([b"A b. C", b"", b"x\xff. y"]))
    assert sentences.to_list() == [[b"A b.", b"C"], [], ["x\ufffd.".encode(), b"y"]]


def test_what_is_taken_for_valid_utf8_is_what_a_conversion_leaves_as_it_is() -> None:
    edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0]
    leads = [0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4]
    leads += [0xF5, 0xFF]
    texts = [
        bytes([lead, *rest])
        for lead in leads
        for length in (0, 1, 2, 3)
        for rest in product(edges, repeat=length)
    ]
    texts += [b"", "\ufeff한글\uffff\U0010ffff".encode(), b"a\n\xff"]
    decoded = [text.decode("utf-8", errors="replace").encode() for text in texts]
    valid = [text for text, ours in zip(texts, decoded, strict=True) if text == ours]
    found = tf.strings.regex_full_match(tf.constant(texts), sentences.VALID_UTF8).numpy()
    assert [text for text, is_valid in zip(texts, found, strict=True) if is_valid] == valid
    assert 0 < len(valid) < len(texts)
    replaced = sentences.replace_invalid_utf8(tf.constant(texts)).numpy().tolist()
    assert [text for text, new in zip(texts, replaced, strict=True) if text == new] == valid
    assert all(text.decode() for text in replaced if text)
    assert sentences.replace_invalid_utf8(tf.constant(valid)).numpy().tolist() == valid
