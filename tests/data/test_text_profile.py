"""What labelled texts look like to a model."""

from bert_tf.data.batches.tasks import LabelledText
from bert_tf.data.inspection.text_profile import profile_texts
from bert_tf.data.text.tokenizer import Tokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"]


def test_tokens_beyond_the_length_of_the_model_do_not_count():
    texts = LabelledText(
        texts=["good film", "good " * 20, "film " * 6 + "unheard"],
        text_pairs=None,
        labels=["a", "a", "b"],
    )
    profile = profile_texts(texts, Tokenizer(TOKENS), max_seq_length=8)
    assert profile.length_counts == {2: 1, 6: 2}
    assert (profile.num_tokens, profile.num_unknown) == (14, 0)
    assert profile.label_counts == {"a": 2, "b": 1}
    longer = profile_texts(texts, Tokenizer(TOKENS), max_seq_length=32)
    assert longer.length_counts == {2: 1, 7: 1, 20: 1}
    assert longer.num_unknown == 1
