"""Pretraining that goes on from a model: its weights, heads and vocabulary, and what is refused."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from bert_tf.config import Config, load_config, validate_config
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.tasks.models import build_model
from bert_tf.training.stages.pretraining import pretrain
from tests.training.letters import WORDS, write_documents


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records with two vocabularies."""
    folder = tmp_path_factory.mktemp("continued")
    write_documents(folder / "text.txt", random.Random(0))
    for name, letters in (("records", WORDS), ("others", "abc")):
        tokens = "\n".join([PAD, UNK, CLS, SEP, MASK, *letters])
        (folder / f"{name}.txt").write_text(tokens + "\n", encoding="utf-8")
        tree = {
            "corpus": {"paths": [str(folder / "text.txt")], "held_out_share": 0.2},
            "tokenizer": {"vocabulary": str(folder / f"{name}.txt")},
            "examples": {"max_seq_length": 16},
            "records": {"num_shards": 1, "num_workers": 1},
        }
        prepare_records(validate_config(tree), folder / name)
    return folder


def configure(work: Path, *, records: str = "records", **pretraining: object) -> Config:
    training = {"batch_size": 4, "precision": "float32", "evaluate_every_steps": None}
    training |= {"log_every_steps": 1, "optimizer": {"learning_rate": 1e-9}}
    return validate_config(
        {
            "masking": {"max_predictions_per_seq": 3},
            "model": {} if "pretrained" in pretraining else SHAPE,
            "pretraining": {
                "records": str(work / records),
                "num_train_steps": 1,
                "training": training,
                **pretraining,
            },
            "tracking": {"enabled": False},
        }
    )


SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}


@pytest.fixture(scope="module")
def first(work: Path) -> Path:
    pretrain(configure(work), work / "first")
    return work / "first"


def test_every_weight_comes_from_the_model(work, first, tmp_path):
    pretrain(configure(work, pretrained=str(first)).model_copy(update={"seed": 7}), tmp_path)
    before, after = (
        load_file(first / "model.safetensors"),
        load_file(tmp_path / "model.safetensors"),
    )
    assert before.keys() == after.keys()
    for name, weight in before.items():
        np.testing.assert_allclose(after[name], weight, atol=1e-6, err_msg=name)
    stored = load_config(tmp_path / "config.yaml").model
    assert stored.hidden_size == SHAPE["hidden_size"]
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance["parent"]["folder"] == str(first)
    assert provenance["parent"]["inputs"]


def test_heads_that_the_model_lacks_are_new(work, tmp_path, caplog):
    description = ModelDescription(
        kind="encoder",
        architecture=validate_config({"model": {**SHAPE, "vocab_size": 15}}).model,
        max_seq_length=16,
        pooling="cls",
        has_pooler=False,
    )
    encoder = tmp_path / "encoder"
    save_model(build_model(description), description, encoder)
    Tokenizer.load(work / "records").save(encoder)
    pretrain(configure(work, pretrained=str(encoder)), tmp_path / "out")
    before, after = (
        load_file(folder / "model.safetensors") for folder in (encoder, tmp_path / "out")
    )
    for name, weight in before.items():
        np.testing.assert_allclose(after[name], weight, atol=1e-6, err_msg=name)
    assert {name.split("/")[0] for name in after} == {"encoder", "masked_lm", "next_sentence"}
    for part in ("pooler", "masked_lm head", "next_sentence head"):
        assert f"has no {part}" in caplog.text


def test_records_must_be_made_with_its_vocabulary(work, first, tmp_path):
    config = configure(work, records="others", pretrained=str(first))
    with pytest.raises(ValueError, match=r"made with the vocabulary of pretraining\.pretrained"):
        pretrain(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_from_the_same_model_only(work, first, tmp_path):
    pretrain(configure(work, pretrained=str(first)), tmp_path)
    with pytest.raises(ValueError, match="pretrained_sha256: was '"):
        pretrain(configure(work, num_train_steps=2), tmp_path)
