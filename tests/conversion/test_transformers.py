"""Against `transformers` itself: fresh random models in, our folders out, tokenizers both ways."""

import numpy as np
import pytest

from bert_tf.config import ModelConfig
from bert_tf.conversion import huggingface
from bert_tf.conversion.checkpoint import Model
from bert_tf.conversion.convert import load_checkpoint
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import weights_by_name
from bert_tf.tasks.models import build_model
from tests.conversion import huggingface_reference as reference
from tests.conversion.test_huggingface import assert_same_results

pytestmark = pytest.mark.slow
transformers = pytest.importorskip("transformers", reason="needs the bench extra")
torch = pytest.importorskip("torch", reason="needs the bench extra")

OTHER_SIZES = {
    "hidden_size": 40,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "intermediate_size": 56,
    "max_position_embeddings": 24,
    "type_vocab_size": 3,
}
WORDS = """the cafe café un ##want ##ed runn ##ing , . ! ? [ ] mask sep 영화 ##가 재미 ##있다
中 文 é"""
VOCABULARY = [
    *CONTROL_TOKENS,
    *WORDS.split(),
    *(f"[unused{index}]" for index in range(12)),
]
TEXTS = [
    "The café, UNWANTED running!",
    "영화가 재미있다.",
    "中文 cafe\u0301",
    "",
    "w" * 150,
    "un" + "want" * 30,
]


@pytest.mark.parametrize("changes", [{}, {"hidden_act": "gelu_new", **OTHER_SIZES}])
@pytest.mark.parametrize("class_name", reference.CLASSES)
def test_outputs_loss_and_every_gradient_of_fresh_models(class_name, changes, tmp_path):
    theirs = reference.random_model(class_name, seed=11, **changes)
    batch = reference.random_batch(seed=12, batch=6, length=13)
    reference.save(theirs, tmp_path, max_shard_size="8KB")
    assert not (tmp_path / "model.safetensors").exists()  # sharded
    ours = load_checkpoint(tmp_path)
    assert_same_results(ours, batch, reference.reference_results(theirs, batch))


def our_model(kind, *, tokenizer=None, **fields):
    description = ModelDescription(
        kind=kind,
        architecture=ModelConfig(
            **reference.SIZES,
            hidden_act="gelu" if kind == "encoder" else "gelu_exact",
            initializer_range=0.3,
        ),
        max_seq_length=16,
        class_names=("가", "나", "다") if "classification" in kind else (),
        **fields,
    )
    return Model(build_model(description), description, tokenizer)


KINDS = {
    "BertForPreTraining": {"kind": "pretraining"},
    "BertForMaskedLM": {"kind": "pretraining", "has_next_sentence": False, "has_pooler": False},
    "BertForNextSentencePrediction": {"kind": "pretraining", "has_masked_lm": False},
    "BertForSequenceClassification": {"kind": "classification"},
    "BertForTokenClassification": {"kind": "token_classification", "has_pooler": False},
    "BertForQuestionAnswering": {"kind": "question_answering", "has_pooler": False},
    "BertModel": {"kind": "encoder"},
}


@pytest.mark.parametrize("class_name", KINDS)
def test_transformers_loads_what_we_write(class_name, tmp_path):
    model = our_model(**KINDS[class_name])
    rng = np.random.default_rng(0)
    for weight in weights_by_name(model.network).values():
        weight.assign(np.asarray(weight) + rng.normal(0, 0.2, weight.shape))
    huggingface.write_checkpoint(model, tmp_path / "out")
    theirs, report = getattr(transformers, class_name).from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(report.values()), report
    assert theirs.config.architectures == [class_name]
    batch = reference.random_batch(seed=3)
    theirs.train()
    expected = reference.reference_results(theirs, batch)
    assert_same_results(model, batch, expected)
    if "Classification" in class_name:
        assert theirs.config.id2label == {0: "가", 1: "나", 2: "다"}


@pytest.mark.parametrize(
    "settings",
    [
        {"lower_case": False, "strip_accents": False},
        {"lower_case": True, "strip_accents": False},
        {"lower_case": True, "strip_accents": True},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "form",
    [
        {"unicode_normalization": "none", "max_word_characters": 100},
        {"unicode_normalization": "NFC", "max_word_characters": 200},
        {"unicode_normalization": "NFKC", "max_word_characters": 100},
    ],
    ids=str,
)
def test_transformers_tokenizes_as_we_do_with_the_files_we_write(settings, form, tmp_path):
    ours = WordPieceTokenizer(VOCABULARY, **settings, **form)
    huggingface.write_checkpoint(our_model("encoder", tokenizer=ours), tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs.model_max_length == 16
    for text, ids in zip(TEXTS, ours.tokenize(TEXTS).to_list(), strict=True):
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids, text
    pair = theirs("the café", "running")
    assert pair["input_ids"] == [
        ours.cls_id,
        *ours.tokenize(["the café"]).to_list()[0],
        ours.sep_id,
        *ours.tokenize(["running"]).to_list()[0],
        ours.sep_id,
    ]
    assert pair["token_type_ids"][-1] == 1
    assert (theirs.pad_token_id, theirs.mask_token_id) == (ours.pad_id, ours.mask_id)
    # And back, also from what transformers saves of it: a tokenizer.json alone.
    again = load_checkpoint(tmp_path / "out").tokenizer
    assert (again.settings, again.vocabulary) == (ours.settings, ours.vocabulary)
    theirs.save_pretrained(tmp_path / "out")
    (tmp_path / "out" / "vocab.txt").unlink()
    again = load_checkpoint(tmp_path / "out").tokenizer
    assert (again.settings, again.vocabulary) == (ours.settings, ours.vocabulary)
