"""A small made-up corpus, its vocabulary, its tokenizer and its records."""

import random
from pathlib import Path

import pytest

from bert_tf.config import Config, TokenizerConfig, VocabularyConfig, validate_config
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer

NOUNS = ["cat", "dog", "house", "river", "나무", "바다", "하늘", "사람", "stone", "garden"]
VERBS = ["sees", "finds", "makes", "likes", "보았다", "만들었다", "좋아한다"]


def make_text(*, num_documents: int, seed: int = 0) -> str:
    """Documents of three to eight sentences, one a line, a blank line between documents."""
    draw = random.Random(seed)
    documents = []
    for _ in range(num_documents):
        lines = [
            f"{draw.choice(NOUNS)} {draw.choice(VERBS)} {draw.choice(NOUNS)} {draw.randint(0, 99)}."
            for _ in range(draw.randint(3, 8))
        ]
        documents.append("\n".join(lines))
    return "\n\n".join(documents) + "\n"


@pytest.fixture(scope="session")
def tokens() -> list[str]:
    return learn_vocabulary(
        [make_text(num_documents=200)],
        config=VocabularyConfig(size=300),
        tokenizer=TokenizerConfig(),
    )


@pytest.fixture(scope="session")
def tokenizer(tokens: list[str]) -> Tokenizer:
    return WordPieceTokenizer(tokens)


@pytest.fixture(scope="session")
def corpus_config(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Config:
    folder = tmp_path_factory.mktemp("corpus")
    text = folder / "text.txt"
    text.write_text(make_text(num_documents=200), encoding="utf-8")
    tokenizer.save(folder)
    return make_config(paths=[str(text)], vocabulary=str(folder))


def make_config(*, paths: list[str], vocabulary: str, **sections: dict[str, object]) -> Config:
    tree: dict[str, dict[str, object]] = {
        "corpus": {"paths": paths, "held_out_share": 0.2},
        "tokenizer": {"vocabulary": vocabulary},
        "examples": {"max_seq_length": 32},
        "records": {"num_shards": 3, "num_workers": 1},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    return validate_config(tree)


@pytest.fixture(scope="session")
def records_dir(tmp_path_factory: pytest.TempPathFactory, corpus_config: Config) -> Path:
    folder = tmp_path_factory.mktemp("records")
    prepare_records(corpus_config, folder)
    return folder
