"""A training of texts from texts whose pairs were prepared before."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.config import TokenizerConfig
from bert_tf.data.inspection.text_profile import PROFILE_FILE
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.tracking.provenance import records_input
from bert_tf.training.stages.finetuning import finetune
from tests.tasks.test_sequence_to_sequence import WORDS, make_config, weights_of


@pytest.fixture
def tokenizer() -> WordPieceTokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])


def test_prepared_pairs_train_the_model_that_their_texts_train(tokenizer, tmp_path):
    """The same batches, so the same weights bit for bit, from however many shards."""
    tokenizer.save(tmp_path / "vocab")
    few = {"num_epochs": 0.3}
    from_texts = finetune(make_config(tmp_path, **few), tmp_path / "texts")
    records = prepare(tmp_path, num_shards=3)
    prepared = make_config(tmp_path, train_path=str(records), **few)
    assert finetune(prepared, tmp_path / "records") == from_texts
    for ours, theirs in zip(
        *map(weights_of, (tmp_path / "records", tmp_path / "texts")), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    train, held_out = json.loads((tmp_path / "records" / "provenance.json").read_text())["inputs"]
    assert (train["role"], train["source"], train["num_examples"]) == ("train", str(records), 60)
    assert train["sha256"] == records_input("train", records).sha256
    assert held_out["source"].endswith("eval.jsonl")
    profiles = [
        json.loads((tmp_path / name / PROFILE_FILE).read_text()) for name in ("records", "texts")
    ]
    for profile in profiles:
        del profile["label_counts"]
    assert profiles[0] == profiles[1]


def test_prepared_pairs_that_do_not_fit_are_refused(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "vocab")
    make_config(tmp_path)
    records = str(prepare(tmp_path, num_shards=1))
    cased = WordPieceTokenizer(tokenizer.vocabulary, lower_case=True, strip_accents=False)
    cased.save(tmp_path / "cased")
    other = make_config(tmp_path, train_path=records).model_copy(
        update={"tokenizer": TokenizerConfig(vocabulary=str(tmp_path / "cased"))}
    )
    classes = {"task": "classification", "train_path": records}
    spacing = {"task": {"name": "sequence_to_sequence", "pairs": "spacing"}, "train_path": records}
    for config, message in (
        (other, r"the model's tokenizer, whose lower_case is True\. Received: False\."),
        (make_config(tmp_path, **classes), "a table of labelled examples for the task classifica"),
        (
            make_config(tmp_path, **spacing),
            r"parallel\.made_by=spacing for finetuning\.task\.pairs=spacing\. Received: columns",
        ),
        (make_config(tmp_path, train_path=[records, "b.csv"]), "Received: 2 names"),
        (make_config(tmp_path, eval_path=[records]), r"finetuning\.eval_path must be a table"),
    ):
        with pytest.raises(ValueError, match=message):
            finetune(config, tmp_path / "refused")
        assert not (tmp_path / "refused" / "model.json").exists()


def prepare(folder: Path, *, num_shards: int) -> Path:
    """Records of the pairs in `train.jsonl`, made by the command."""
    settings = (
        f"tokenizer.vocabulary={folder / 'vocab'}",
        f'parallel.paths=["{folder / "train.jsonl"}"]',
        f"records.num_shards={num_shards}",
        "records.num_workers=1",
    )
    options = [word for setting in settings for word in ("--set", setting)]
    output_dir = folder / "pairs"
    result = CliRunner().invoke(main, ["prepare", *options, "--output-dir", str(output_dir)])
    assert result.exit_code == 0, result.output
    return output_dir
