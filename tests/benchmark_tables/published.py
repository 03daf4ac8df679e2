"""Tiny files in the layouts in which GLUE and KLUE are published."""

import json
from pathlib import Path

from bert_tf.config import ModelConfig
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.folder import save_model
from bert_tf.tasks.models import build_model

WORDS = [*"abcdefghijklmnop", *"@#*^.", "good", "bad", "film", "서울", "한강", "이", "에", "흐른다"]
NUM_TRAIN, NUM_DEV = 16, 8
_PAIR_HEADERS = {
    "STS-B": ["index", "genre", "filename", "year", "old_index", "source1", "source2"],
    "MNLI": ["index", "promptID", "pairID", "genre"],
}


def save_encoder(folder: Path) -> Path:
    """A model folder of one layer with random weights."""
    tokenizer = WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])
    tokenizer.save(folder)
    description = ModelDescription(
        kind="pretraining",
        architecture=ModelConfig(
            num_hidden_layers=1,
            hidden_size=16,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            vocab_size=tokenizer.vocab_size,
        ),
        max_seq_length=32,
    )
    save_model(build_model(description), description, folder)
    return folder


def texts(count: int, start: int = 0) -> list[str]:
    """All of them different; every second one says "good", the others "bad"."""
    letters = "abcdefghijklmnop"
    said = ("good", "bad")
    return [
        f"{said[i % 2]} film {letters[i % 16]} {letters[i // 16]}"
        for i in range(start, start + count)
    ]


def write_tsv(path: Path, rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def write_glue(folder: Path, *names: str) -> Path:
    """Those sets, or all of them, as GLUE's download script leaves them."""
    for name, write in _GLUE.items():
        if not names or name in names:
            for split, count, start in (("train", NUM_TRAIN, 0), ("dev", NUM_DEV, 64)):
                write(folder / name, split, texts(count, start))
    return folder


def _cola(folder: Path, split: str, sentences: list[str]) -> None:
    rows = [["gj04", str(i % 2), "*" if i % 2 else "", it] for i, it in enumerate(sentences)]
    write_tsv(folder / f"{split}.tsv", rows)


def _sst2(folder: Path, split: str, sentences: list[str]) -> None:
    rows = [[f'"{it}', str(i % 2)] for i, it in enumerate(sentences)]
    write_tsv(folder / f"{split}.tsv", [["sentence", "label"], *rows])


def _mrpc(folder: Path, split: str, sentences: list[str]) -> None:
    rows = [[str(i % 2), str(i), str(i + 1), it, it] for i, it in enumerate(sentences)]
    header = ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"]
    write_tsv(folder / f"{split}.tsv", [header, *rows])


def _qqp(folder: Path, split: str, sentences: list[str]) -> None:
    rows = [[str(i), "1", "2", it, it, str(i % 2)] for i, it in enumerate(sentences)]
    header = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    write_tsv(folder / f"{split}.tsv", [header, *rows])


def _stsb(folder: Path, split: str, sentences: list[str]) -> None:
    first = _PAIR_HEADERS["STS-B"]
    rows = [["x"] * len(first) + [it, it, f"{i % 6}.000"] for i, it in enumerate(sentences)]
    write_tsv(folder / f"{split}.tsv", [[*first, "sentence1", "sentence2", "score"], *rows])


def _mnli(folder: Path, split: str, sentences: list[str]) -> None:
    first, labels = _PAIR_HEADERS["MNLI"], ["neutral", "entailment", "contradiction"]
    for name in ["train"] if split == "train" else ["dev_matched", "dev_mismatched"]:
        rows = [["x"] * len(first) + [it, it, labels[i % 3]] for i, it in enumerate(sentences)]
        write_tsv(folder / f"{name}.tsv", [[*first, "sentence1", "sentence2", "gold_label"], *rows])


def _entailment(first: str, second: str, labels: tuple[str, str]):
    def write(folder: Path, split: str, sentences: list[str]) -> None:
        rows = [[str(i), it, it, labels[i % 2]] for i, it in enumerate(sentences)]
        write_tsv(folder / f"{split}.tsv", [["index", first, second, "label"], *rows])

    return write


_OF_TWO = ("entailment", "not_entailment")
_GLUE = {
    "CoLA": _cola,
    "SST-2": _sst2,
    "MRPC": _mrpc,
    "QQP": _qqp,
    "STS-B": _stsb,
    "MNLI": _mnli,
    "QNLI": _entailment("question", "sentence", _OF_TWO),
    "RTE": _entailment("sentence1", "sentence2", _OF_TWO),
    "WNLI": _entailment("sentence1", "sentence2", ("0", "1")),
}


def write_klue(folder: Path) -> Path:
    """All sets, as KLUE's archive has them."""
    for split, count, start in (("train", NUM_TRAIN, 0), ("dev", NUM_DEV, 64)):
        for name, content in _klue(texts(count, start)).items():
            place = folder / f"{'klue-tc' if name == 'ynat' else name}-v1.1"
            ending = "tsv" if isinstance(content, str) else "json"
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"{name}-v1.1_{split}.{ending}"
            path.write_text(
                content if ending == "tsv" else json.dumps(content, ensure_ascii=False), "utf-8"
            )
    return folder


def _klue(sentences: list[str]) -> dict[str, object]:
    numbered = list(enumerate(sentences))
    context = "서울에 한강이 흐른다"
    return {
        "ynat": [{"guid": i, "title": it, "label": "정치경제"[i % 2 :: 2]} for i, it in numbered],
        "klue-sts": [
            {
                "guid": i,
                "sentence1": it,
                "sentence2": it,
                "labels": {"label": 1.0, "real-label": float(i % 6), "binary-label": 0},
            }
            for i, it in numbered
        ],
        "klue-nli": [
            {
                "guid": i,
                "premise": it,
                "hypothesis": it,
                "gold_label": ["entailment", "neutral", "contradiction"][i % 3],
            }
            for i, it in numbered
        ],
        "klue-ner": "## 주석 : ##\n"
        + "\n".join(f"## id-{i}\t<서울:LC>에\n서\tB-LC\n울\tI-LC\n에\tO\n" for i, _ in numbered),
        "klue-re": [
            {
                "guid": i,
                "sentence": f"서울에 한강이 {it}",
                "subject_entity": {"word": "서울", "start_idx": 0, "end_idx": 1, "type": "LOC"},
                "object_entity": {"word": "한강", "start_idx": 4, "end_idx": 5, "type": "POH"},
                "label": ["no_relation", "org:members", "per:title"][i % 3],
            }
            for i, it in numbered
        ],
        "klue-mrc": {
            "version": "v1.1",
            "data": [
                {
                    "title": "t",
                    "paragraphs": [
                        {
                            "context": f"{context} {it}",
                            "qas": [
                                {
                                    "guid": f"q{i}",
                                    "question": "film",
                                    "is_impossible": i % 4 == 3,
                                    "answers": []
                                    if i % 4 == 3
                                    else [{"text": "서울", "answer_start": 0}],
                                }
                            ],
                        }
                    ],
                }
                for i, it in numbered
            ],
        },
    }
