"""Text in, its sentences out, in the graph.

A chain of regular expressions rather than `tensorflow_text.StateBasedSentenceBreaker`: that one
cuts "3.14", "e.g." and "Dr. Smith", and read 2.4 MB/s where this reads 14 to 21 on a core. The
stops of other scripts are among those of Unicode Standard Annex 29 (Sentence_Terminal).
"""

import tensorflow as tf

RULES_VERSION = 2
"""Rises with every change of the rules: records of other sentences are other records."""
VALID_UTF8 = r"[\x{0}-\x{D7FF}\x{E000}-\x{10FFFF}]*"
"""Written as a class without surrogates: RE2 takes overlong forms for `.`."""
BREAK, KEEP = "\x1f", "\x1e"
ABBREVIATIONS = (
    "Mr|Mrs|Ms|Dr|Prof|St|Gen|Col|Capt|Lt|Sgt|Rev|Hon|Gov|Sen|Rep|Mt|Ft|vs|cf|e\\.g|i\\.e|a\\.k\\.a"
    "|approx|ca|resp|esp|viz|Ph\\.D|eds|Nr|z\\.B|d\\.h|u\\.a|bzw|ggf|Mme|Mlle|Sra|Dra|[A-Z]"
)
"""Never the end of a sentence."""
LAST_WORDS = "etc|al|a\\.m|p\\.m|Sr|Jr|Inc|Ltd|Co|Corp|Bros|ed|usw|[A-Z]\\.[A-Z]"
"""The end of a sentence where one of `FIRST_WORDS` follows."""
FIRST_WORDS = (
    "The|This|That|These|Those|There|He|She|It|They|We|You|But|And|However|In|On|At|As|After|Before"
    "|When|While|If|For|His|Her|Its|Their|Our|What|Why|How|Who"
)
NUMBERED = (
    "[Nn]o|[Nn]os|[Vv]ol|[Cc]h|[Ss]ec|[Ff]igs?|[Ee]qs?|pp?|art|Art|Abb"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
"""Not the end of a sentence where a number follows: "No. 5", but "No. Really." """
CYRILLIC = "[Тт]\\.[едпк]|т|[А-ЯЁІЇЄ]|им|ул|стр|рис|см|проф|акад|др"
BRACKETS = "”’»)\\]」』）"
CLOSERS = f"\"'{BRACKETS}"
SCRIPT_STOPS = "。！？｡．‼⁇⁈⁉।॥؟۔։።፧፨။។៕᠃\u037e"
"""Full stops and question marks that end a sentence with or without a space: Chinese, Japanese,
Devanagari and its neighbours, Arabic, Urdu, Armenian, Ethiopic, Burmese, Khmer, Mongolian,
Greek."""
CJK = "\\p{Han}\\p{Hiragana}\\p{Katakana}"
SMILES = "(?:\\s?[ㅋㅎㅠㅜ~^]+)?"
POLITE_ENDS = f"(?:니다|세요|[어아해예에네군까]요|죠){SMILES}"
LAUGHING_ENDS = "[다요네나음함임죠까]\\s?[ㅋㅎㅠㅜ~^]{2,}"
PLAIN_ENDS = f"[었았였했겠]다{SMILES}"
GOES_ON = "가고는던라면말싶하해"
"""What may follow a plain ending inside a sentence: "갔었다 하면", "좋았다 라고"."""

STEPS = (
    # "… in the U.S. The …", "at 5 p.m. We left".
    (rf"\b((?:{LAST_WORDS})\.)\s+((?:{FIRST_WORDS})\b)", rf"\1{BREAK}\2"),
    # "Dr. Smith", "e.g. this", "J. R. Smith": a stop that ends no sentence keeps its space.
    # RE2's \b knows ASCII letters only: what is before a Russian word is asked for.
    (
        rf"(\b(?:{ABBREVIATIONS}|{LAST_WORDS})\.|(?:^|[\s(«])(?:{CYRILLIC})\.)\s+",
        rf"\1{KEEP}",
    ),
    # "No. 5", and the second of two Russian initials, whose space before was the first one's.
    (
        rf"\b((?:{NUMBERED})\.)\s+([\dIVX#(])|({KEEP}(?:{CYRILLIC}|[едпк])\.)\s+",
        rf"\1\3{KEEP}\2",
    ),
    # "1. First": a number that opens a list item stays with it. A Korean date, "2020. 1. 3. 개봉".
    (
        r"((?:^|[.!?]\s)\s*\d{1,3}\.)\s+|(\d{4}\.)\s+(\d{1,2}\.)\s+(\d{1,2}\.)\s+",
        rf"\1\2{KEEP}\3{KEEP}\4{KEEP}",
    ),
    # "well... maybe", "'No!' he said", "“가자.” 라고": trailing off or quoting inside a sentence.
    (
        rf"((?:\.\.|…|[.!?][{CLOSERS}])[{CLOSERS}]*)\s+([a-z]|이?라[고는며])",
        rf"\1{KEEP}\2",
    ),
    # The end: a stop, with what closes, also after a space as in tokenised text: "( see . )".
    # Greek and Armenian write a question mark and a full stop like ASCII's ";" and ":".
    (
        rf"((?:[.!?…{SCRIPT_STOPS}]|\p{{Greek}};|\p{{Armenian}}:)"
        rf"[{CLOSERS}]*(?:\s[{BRACKETS}]+)*)\s+",
        rf"\1{BREAK}",
    ),
    # The end without a space: a closing bracket goes on with the quoting sentence. ASCII's stops
    # end one so in Chinese and Japanese, and in Korean, where one full stop needs a verb's ending
    # before it: "좋았다.다시", "정말?네", but "서울.부산".
    (
        rf"([{SCRIPT_STOPS}])([^{SCRIPT_STOPS}{CLOSERS}\s{BREAK}])"
        rf"|([{CJK}][!?]+)([{CJK}])"
        rf"|([다요죠까네]\.+|[나지라음]\.{{2,}}|[가-힣][.~]*[!?]+)([가-힣])",
        rf"\1\3\5{BREAK}\2\4\6",
    ),
    # The end without a stop: "재미있었어요 또 볼게요". Thai and Lao part phrases by spaces and
    # sentences by nothing else: long phrases are taken as sentences.
    (
        rf"({POLITE_ENDS}|{LAUGHING_ENDS})\s+([가-힣])|({PLAIN_ENDS})\s+([^\x00-\x7fㄱ-ㅣ{GOES_ON}])"
        r"|([\p{Thai}\p{Lao}]{10})\s+([\p{Thai}\p{Lao}])",
        rf"\1\3\5{BREAK}\2\4\6",
    ),
)


def split_sentences(texts: tf.Tensor) -> tf.RaggedTensor:
    """Sentences of each text, stripped, none empty.

    `texts`: string, (batch). Result: string, (batch, (sentences)).

    "Dr. Kim paid 3.14 dollars. Why?" gives "Dr. Kim paid 3.14 dollars." and "Why?". Case is not
    looked at, so lower-cased text splits, too. A text without a stop is one sentence, but in Thai,
    Lao and Korean.
    """
    texts = replace_invalid_utf8(tf.convert_to_tensor(texts))
    for pattern, rewrite in STEPS:
        texts = tf.strings.regex_replace(texts, pattern, rewrite)
    parts = tf.strings.split(texts, sep=BREAK)
    values = tf.strings.strip(tf.strings.regex_replace(parts.values, f"{KEEP}+", " "))
    # A mask of the parts alone: `tf.ragged.boolean_mask` makes one of batch x longest text.
    is_kept = tf.not_equal(values, "")
    num_before = tf.concat([[0], tf.cumsum(tf.cast(is_kept, tf.int64))], axis=0)
    return tf.RaggedTensor.from_row_splits(
        tf.boolean_mask(values, is_kept), tf.gather(num_before, parts.row_splits), validate=False
    )


def replace_invalid_utf8(texts: tf.Tensor) -> tf.Tensor:
    """`texts` with every invalid sequence as U+FFFD.

    Text is mostly valid, and to tell so takes a quarter of the time of converting it.
    """
    texts = tf.convert_to_tensor(texts)
    return tf.cond(
        tf.reduce_all(tf.strings.regex_full_match(texts, VALID_UTF8)),
        lambda: texts,
        lambda: tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace"),
    )
