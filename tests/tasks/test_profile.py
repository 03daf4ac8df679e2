"""What labelled texts look like to a model."""

import numpy as np

from bert_tf.data.batches.labelled import encode_texts
from bert_tf.data.text.windows import TextLimits
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.tasks.classification import Classification
from bert_tf.tasks.profile import profile_encoded
from tests.labelled import make_examples

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"]


def test_tokens_beyond_the_length_of_the_model_do_not_count(caplog):
    texts = ["good film", "good " * 20, "film " * 6 + "unheard"]
    examples = make_examples(texts, ["a", "a", "b"])

    def profile(max_seq_length):
        encoded = encode_texts(
            texts,
            targets={"labels": np.zeros(3, np.int32)},
            tokenizer=WordPieceTokenizer(TOKENS),
            limits=TextLimits(max_seq_length),
        )
        return profile_encoded(encoded, examples, Classification())

    short = profile(8)
    assert short.length_counts == {2: 1, 6: 2}
    assert (short.num_tokens, short.num_unknown) == (14, 0)
    assert short.label_counts == {"a": 2, "b": 1}
    assert "[UNK]" not in caplog.text
    longer = profile(32)
    assert "3.4% of the tokens of 3 texts are [UNK]" in caplog.text
    assert longer.length_counts == {2: 1, 7: 1, 20: 1}
    assert longer.num_unknown == 1
