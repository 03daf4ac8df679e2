"""What stands late in a long text is found as often as what stands early, through the whole way."""

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bert_tf
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer

FILLERS = ["film", "plot", "long", "short", "scene", "actor"]
EVIDENCE = ["good", "bad"]
ROW = 16
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": ROW,
}


def document(draw: random.Random, *, least_words: int, most_words: int = 4 * ROW) -> dict[str, Any]:
    """Words of which one says what the text is, in any place."""
    words = draw.choices(FILLERS, k=draw.randint(least_words, most_words))
    place, word = draw.randrange(len(words)), draw.choice(EVIDENCE)
    words[place] = word
    start = sum(len(it) + 1 for it in words[:place])
    entities = [{"start": start, "end": start + len(word), "label": word.upper()}]
    row = {"text": " ".join(words), "label": word, "place": place, "entities": entities}
    return row | {"question": "plot", "answers": [{"text": word, "answer_start": start}]}


def documents(count: int, *, seed: int, least_words: int = 4 * ROW) -> pd.DataFrame:
    draw = random.Random(seed)
    return pd.DataFrame([document(draw, least_words=least_words) for _ in range(count)])


SETTINGS: dict[str, dict[str, Any]] = {
    "classification": {"window_join": "max"},
    "token_labels": {},
    "question_answering": {"text_field": "question", "text_pair_field": "text"},
}


@pytest.fixture(scope="module", params=SETTINGS)
def learnt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The task, its model, and texts that it was not trained on."""
    folder = tmp_path_factory.mktemp(request.param)
    WordPieceTokenizer([*CONTROL_TOKENS, *FILLERS, *EVIDENCE]).save(folder / "vocab")
    config = bert_tf.Config(
        model=SHAPE,
        tokenizer={"vocabulary": str(folder / "vocab")},
        tracking={"enabled": False},
    )
    model = bert_tf.finetune(
        train=documents(320, seed=1),
        held_out=documents(64, seed=2),
        task=request.param,
        output_dir=folder / "model",
        config=config,
        from_scratch=True,
        max_seq_length=ROW,
        max_windows=9,
        num_epochs=8,
        training={
            "batch_size": 16,
            "precision": "float32",
            "optimizer": {"learning_rate": 5e-3},
        },
        show_progress=False,
        **SETTINGS[request.param],
    )
    return request.param, model, documents(300, seed=3, least_words=5)


def is_right(task: str, answers: pd.DataFrame, texts: pd.DataFrame) -> np.ndarray:
    if task == "classification":
        return (answers["label"] == texts["label"]).to_numpy()
    if task == "token_labels":
        found = [list(map(str, it)) for it in answers["entity_texts"].map(lambda it: it[:1])]
        return np.array([it == [label] for it, label in zip(found, texts["label"], strict=True)])
    return np.array(
        [
            (answer, start) == (given[0]["text"], given[0]["answer_start"])
            for answer, start, given in zip(
                answers["answer"], answers["start"], texts["answers"], strict=True
            )
        ]
    )


def test_evidence_is_found_wherever_it_stands(learnt: Any) -> None:
    task, model, texts = learnt
    right = is_right(task, model.predict(texts), texts)  # as an export answers
    is_late = (texts["place"] >= ROW - 2).to_numpy()
    assert 100 < is_late.sum() < 280
    assert right[is_late].mean() > 0.95
    assert right[~is_late].mean() > 0.95


def test_an_export_reads_longer_documents_than_training_did(learnt: Any, tmp_path: Any) -> None:
    task, model, _ = learnt
    draw = random.Random(4)
    rows = [document(draw, least_words=20 * ROW, most_words=24 * ROW) for _ in range(12)]
    texts = pd.DataFrame([row for row in rows if row["place"] > 9 * ROW])
    assert len(texts) > 3
    exported = bert_tf.load(bert_tf.export(model, output_dir=tmp_path / "served", max_windows=60))
    assert exported.description.max_windows == 60  # what its card and its users are told
    assert is_right(task, exported.predict(texts), texts).all()
    assert not is_right(task, model.predict(texts), texts).all()
