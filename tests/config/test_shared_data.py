"""The shipped configurations on real text, shortened: Korean and English, from text to answers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main

CONFIGS = Path(__file__).parents[2] / "pipelines" / "configs"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def train(
    config: str, *, corpus: str, train: Path, evaluation: Path, num_steps: int, epochs: float
) -> dict[str, float]:
    """All commands of a configuration in the working folder; the classifier's metrics."""
    common = ("--config", str(CONFIGS / config), "--set", "tracking.enabled=false")
    runs = {"korean_reviews.yaml": "runs/ko", "english_sentiment.yaml": "runs/en"}[config]
    run("vocab", *common, "--set", f"corpus.paths=[{corpus}]", "--output-dir", f"{runs}/vocab")
    run("prepare", *common, "--set", f"corpus.paths=[{corpus}]", "--output-dir", f"{runs}/records")
    run(
        *("pretrain", *common, "--output-dir", f"{runs}/encoder"),
        *("--set", f"pretraining.num_train_steps={num_steps}"),
    )
    output = run(
        *("finetune", *common, "--output-dir", f"{runs}/classifier"),
        *("--set", f"finetuning.train_path={train}", "--set", f"finetuning.eval_path={evaluation}"),
        *("--set", f"finetuning.num_epochs={epochs}"),
    )
    run("export", *common, "--output-dir", f"{runs}/served/model")
    return json.loads(output)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_korean_sentiment_with_hangul_intact(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    metrics = train(
        "korean_reviews.yaml",
        corpus=str(shared_data / "ko" / "reviews.txt"),
        train=shared_data / "ko" / "nsmc" / "train.tsv",
        evaluation=shared_data / "ko" / "nsmc" / "test.tsv",
        num_steps=300,
        epochs=0.5,
    )
    assert metrics["classification_accuracy"] > 0.7
    vocabulary = (tmp_path / "runs/ko/vocab/vocab.txt").read_text("utf-8").splitlines()
    assert any("가" <= token[-1] <= "힣" for token in vocabulary), "whole syllables"
    assert not any("\u1100" <= character <= "\u11ff" for token in vocabulary for character in token)
    answers = run(
        "predict", "--model", "runs/ko/served/model", "정말 재미있고 감동적이에요", "최악의 영화"
    )
    assert [json.loads(line)["label"] for line in answers.splitlines()] == ["1", "0"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_english_sentiment(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    english = shared_data / "en"
    metrics = train(
        "english_sentiment.yaml",
        corpus=f"{english / 'progit'}, {english / 'wikitext2_valid.txt'}",
        train=english / "sst2" / "train.tsv",
        evaluation=english / "sst2" / "dev.tsv",
        num_steps=100,
        epochs=2,
    )
    assert metrics["classification_accuracy"] > 0.65
