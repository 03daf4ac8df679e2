"""A BERT on SentencePiece from raw Korean text to exported answers, by the commands alone."""

import json
import random
import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml

from bert_tf.config import MaskingConfig
from bert_tf.data.batches.masked_batches import training_batches
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting.hostile_rows import TEXTS as HOSTILE
from bert_tf.exporting.model_card import make_card
from bert_tf.exporting.predict import predict_texts
from bert_tf.exporting.pyfunc import TextModel
from bert_tf.registry.training_run import read_training
from tests.cli.test_commands import SETTINGS, run

WORDS = ["영화가", "배우는", "정말", "좋아요", "나빠요", "이야기", "서울에서", "film", "good"]
NAMES = ["민수", "영희"]


def sentence(draw: random.Random) -> list[str]:
    return [*draw.sample(WORDS, 4), draw.choice(NAMES)]


def labelled(draw: random.Random) -> dict:
    """A text and the name in it."""
    words = sentence(draw)
    draw.shuffle(words)
    text = " ".join(words)
    name = next(word for word in words if word in NAMES)
    start = text.index(name)
    return {"text": text, "entities": [{"start": start, "end": start + 2, "label": "PER"}]}


def asked(draw: random.Random) -> dict:
    row = labelled(draw)
    (entity,) = row["entities"]
    answer = {"text": row["text"][entity["start"] : entity["end"]], "answer_start": entity["start"]}
    return {"question": "누구 이야기?", "context": row["text"], "answers": [answer]}


def classified(draw: random.Random) -> dict:
    words = sentence(draw)
    return {"text": " ".join(words), "label": "민수" if "민수" in words else "영희"}


ROWS = {"classification": classified, "token_labels": labelled, "question_answering": asked}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary, records and an encoder."""
    path = tmp_path_factory.mktemp("work")
    draw = random.Random(0)
    documents = ["\n".join(" ".join(sentence(draw)) + "." for _ in range(5)) for _ in range(60)]
    (path / "corpus.txt").write_text("\n\n".join(documents), encoding="utf-8")
    for task, make in ROWS.items():
        for name, number in (("train", 120), ("eval", 20)):
            rows = [json.dumps(make(draw), ensure_ascii=False) for _ in range(number)]
            (path / f"{task}_{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    settings = SETTINGS | {
        "vocabulary": {"kind": "unigram", "size": 330},
        "corpus": {**SETTINGS["corpus"], "paths": [str(path / "corpus.txt")]},
        "tokenizer": {"vocabulary": str(path / "vocab")},
        "masking": {**SETTINGS["masking"], "unit": "word"},
        "pretraining": {**SETTINGS["pretraining"], "records": str(path / "records")},
        "tracking": {"enabled": False},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
    output = command(path, "vocab", "vocab")
    assert "vocab/spm.model" in output
    command(path, "prepare", "records")
    command(path, "pretrain", "encoder")
    return path


def command(path: Path, name: str, folder: str, *settings: str) -> str:
    options = [
        part
        for setting in settings
        for part in ([setting] if setting.startswith("--") else ["--set", setting])
    ]
    config = str(path / "config.yaml")
    return run(name, "--config", config, *options, "--output-dir", str(path / folder))


def finetuned_and_exported(path: Path, task: str) -> Path:
    command(
        path,
        "finetune",
        task,
        f"finetuning.task.name={task}",
        f"finetuning.pretrained={path / 'encoder'}",
        f"finetuning.train_path={path / f'{task}_train.jsonl'}",
        f"finetuning.eval_path={path / f'{task}_eval.jsonl'}",
        "finetuning.max_seq_length=32",
    )
    check = "--check" if task == "classification" else "--no-check"
    command(path, "export", f"served/{task}", check, f"export.model={path / task}")
    return path / "served" / task / "1"


def test_every_folder_has_the_vocabulary_and_says_how_it_fits(work):
    model = (work / "vocab" / "spm.model").read_bytes()
    for folder in ("records", "encoder"):
        assert (work / folder / "spm.model").read_bytes() == model
        assert not (work / folder / "vocab.txt").exists()
    report = json.loads((work / "vocab" / "vocabulary_report.json").read_text("utf-8"))
    assert report["unknown_rate"] == 0
    assert report["coverage"] == 1
    # Each line has five words and a full stop, which is one of its own.
    lines = report["num_documents"] * 5
    assert report["num_words"] == lines * 6
    ties = json.loads((work / "encoder" / "model.json").read_text("utf-8"))["files_sha256"]
    assert set(ties) == {"spm.model", "tokenizer.json"}


def test_words_that_a_space_begins_are_masked_whole(work):
    tokenizer = Tokenizer.load(work / "records")
    masking = MaskingConfig(unit="word", mask_share=1.0, random_share=0.0, masked_lm_prob=0.4)
    batch = next(iter(training_batches(work / "records", batch_size=16, masking=masking, seed=0)))
    plain = batch["input_ids"].numpy().copy()
    places, ids = batch["masked_lm_positions"].numpy(), batch["masked_lm_ids"].numpy()
    used = batch["masked_lm_weights"].numpy() > 0
    masked = np.zeros_like(plain, bool)
    for row in range(len(plain)):
        plain[row, places[row][used[row]]] = ids[row][used[row]]
        masked[row, places[row][used[row]]] = True
    continues = tokenizer.continues_word[plain]
    assert masked.any()
    assert (continues & masked).any(), "words of several pieces"
    # A text that was cut at its front begins inside of a word.
    inside = continues[:, 1:] & ~np.isin(plain[:, :-1], tokenizer.special_ids)
    assert (masked[:, 1:][inside] == masked[:, :-1][inside]).all()


def test_inspection_shows_words_without_marks(work):
    output = run(
        *("inspect", "--records", str(work / "records"), "--num", "3"),
        *("--set", "masking.random_share=0"),
    )
    assert "[MASK](" in output
    output = re.sub(r"\([^)]*\)", "", output)  # What is to be predicted is shown as it is spelled.
    assert "▁" not in output
    assert any(word in output for word in WORDS)


def test_a_classifier_is_exported_and_answers_hostile_texts(work):
    version = finetuned_and_exported(work, "classification")
    metrics = json.loads((work / "classification" / "metrics.json").read_text())
    assert metrics["classification_accuracy"] > 0.9
    texts = ["정말 좋아요 민수", "영희 영화가 good"]
    answers = predict_texts(version, texts)
    assert [answer["label"] for answer in answers] == ["민수", "영희"]
    mixed = predict_texts(version, [texts[0], *HOSTILE, texts[1]])
    for alone, beside in zip(answers, (mixed[0], mixed[-1]), strict=True):
        np.testing.assert_allclose(alone["probabilities"], beside["probabilities"], atol=1e-5)
    tokens = tf.saved_model.load(str(version)).signatures["tokenize"](text=tf.constant(texts))
    tokenizer = Tokenizer.load(work / "vocab")
    expected = tokenizer.pack(tokenizer.tokenize(texts), max_seq_length=32)["input_ids"]
    np.testing.assert_array_equal(tokens["input_ids"][:, : expected.shape[1]], expected)
    model = TextModel()
    artifacts = {"saved_model": str(version)}
    model.load_context(mlflow.pyfunc.PythonModelContext(artifacts=artifacts, model_config=None))
    frame = pd.DataFrame({"text": texts})
    assert list(model.predict(None, frame)["label"]) == ["민수", "영희"]
    card = make_card(version, name="reviews")
    assert card is not None
    assert "A BERT for classification" in card
    names = {path.name for path in read_training(work / "classification")["files"]}
    assert "spm.model" in names
    line = run("predict", "--model", str(version.parent), texts[0])
    assert json.loads(line)["label"] == "민수"


@pytest.mark.parametrize("task", ["token_labels", "question_answering"])
def test_places_of_answers_are_in_the_users_text(work, task):
    version = finetuned_and_exported(work, task)
    metrics = json.loads((work / task / "metrics.json").read_text())
    assert metrics["micro_f1" if task == "token_labels" else "exact_match"] >= 0.8
    text = "  정말\n영화가 \u200b민수 good"
    if task == "token_labels":
        (answer,) = predict_texts(version, [text])
        places = zip(answer["entity_starts"], answer["entity_ends"], strict=True)
        assert [text[start:end] for start, end in places] == ["민수"]
    else:
        (answer,) = predict_texts(version, ["누구 이야기?"], text_pairs=[text])
        assert (answer["answer"], text[answer["start"] : answer["end"]]) == ("민수", "민수")


def test_other_libraries_are_told_to_take_wordpiece(work, tmp_path):
    output = run(
        *("convert", "--from", str(work / "encoder"), "--to", str(tmp_path / "out")),
        *("--format", "huggingface"),
        exit_code=1,
    )
    assert "must have a WordPiece vocabulary" in output
    assert "spm.model" in output
    assert not (tmp_path / "out").exists()
    run("convert", "--from", str(work / "encoder"), "--to", str(tmp_path / "own"))
    assert (tmp_path / "own" / "spm.model").is_file()
