"""A real checkpoint: MiniLM-L6 loads, embeds as sentence-transformers does, goes out and in."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from bert_tf.conversion.convert import convert_checkpoint, load_checkpoint
from bert_tf.models.tensors import weights_by_name
from tests.conversion import minilm

GOLDEN = Path(__file__).parents[1] / "golden" / "minilm.npz"


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(minilm.folder())


def assert_same_embeddings(ours, theirs):
    cosines = (
        (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
    )
    assert cosines.min() >= 0.99999
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def real_sentences(shared_data: Path, *, count: int) -> list[str]:
    """Sentences of encyclopaedia articles, a manual and film reviews."""
    lines = (shared_data / "en" / "sst2" / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    sentences = [line.split("\t")[0] for line in lines]
    articles = (shared_data / "en" / "wikitext2_valid.txt").read_text(encoding="utf-8")
    sentences += [
        line.strip() for line in articles.splitlines() if line.strip() and not line.startswith(" =")
    ]
    for path in sorted((shared_data / "en" / "progit").glob("*.txt")):
        sentences += path.read_text(encoding="utf-8").split("\n\n")
    step = len(sentences) // count
    return sentences[::step][:count]


def test_what_the_folder_says(model):
    description = model.description
    assert description.kind == "encoder"
    assert (description.pooling, description.normalize_embeddings) == ("mean", True)
    assert description.max_seq_length == 256
    assert description.architecture.hidden_act == "gelu_exact"
    assert model.tokenizer.settings["lower_case"]
    assert model.tokenizer.settings["strip_accents"]


def test_embeddings_are_sentence_transformers(model):
    with np.load(GOLDEN) as golden:
        ours = minilm.embed(model, [str(sentence) for sentence in golden["sentences"]])
        assert_same_embeddings(ours, golden["embeddings"])


def test_round_trip_is_bit_equal(model, tmp_path):
    convert_checkpoint(minilm.folder(), tmp_path / "ours")
    convert_checkpoint(tmp_path / "ours", tmp_path / "theirs", target_format="huggingface")
    before = safetensors.numpy.load_file(minilm.folder() / "model.safetensors")
    after = safetensors.numpy.load_file(tmp_path / "theirs" / "model.safetensors")
    assert before.keys() - after.keys() <= {"embeddings.position_ids"}
    for name, tensor in after.items():
        np.testing.assert_array_equal(tensor, before[name], err_msg=name)
    again = load_checkpoint(tmp_path / "theirs")
    assert again.description == model.description
    assert again.tokenizer.settings == model.tokenizer.settings
    assert again.tokenizer.vocabulary == model.tokenizer.vocabulary
    first, second = (weights_by_name(m.network) for m in (model, again))
    for name, weight in first.items():
        np.testing.assert_array_equal(weight, second[name], err_msg=name)


@pytest.mark.slow
def test_600_real_sentences_embed_as_sentence_transformers_does(model, shared_data, tmp_path):
    sentence_transformers = pytest.importorskip(
        "sentence_transformers", reason="needs the bench extra"
    )
    sentences = real_sentences(shared_data, count=600)
    assert len(set(sentences)) > 590
    reference = sentence_transformers.SentenceTransformer(str(minilm.folder()), device="cpu")
    theirs = reference.encode(sentences, convert_to_numpy=True)
    assert_same_embeddings(minilm.embed(model, sentences), theirs)

    convert_checkpoint(minilm.folder(), tmp_path / "out", target_format="huggingface")
    written = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    np.testing.assert_array_equal(written.encode(sentences[:50]), reference.encode(sentences[:50]))
    # What the newest version writes is read, too.
    reference.save(str(tmp_path / "saved"))
    saved = load_checkpoint(tmp_path / "saved")
    assert saved.description == model.description
    np.testing.assert_array_equal(
        minilm.embed(saved, sentences[:20]), minilm.embed(model, sentences[:20])
    )
