"""The texts that learning benchmarks read, as records: Pro Git and WikiText-2's validation part.

The data folder holds `progit/*.txt`, a document a file, and `wikitext2_valid.txt`, a document an
article. A tenth of the documents, drawn by their text, is held out.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from bert_tf.config import Config, CorpusConfig, VocabularyConfig, validate_config
from bert_tf.data.corpora.corpus import Document, is_held_out, read_documents
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer


def prepare_learning_records(
    data: Path,
    folder: Path,
    *,
    vocab_size: int,
    length: int,
    repeat: int,
    limit_alphabet: int | None = None,
) -> Path:
    """Vocabulary and records below `folder`, held-out documents among them; made once.

    Args:
        repeat: times a training document is cut into pairs, each time others.
        limit_alphabet: see `VocabularyConfig`, whose default is taken without it.
    """
    config, records = learning_config(folder, length=length), folder / "records"
    if not (records / "manifest.json").is_file():
        alphabet = {} if limit_alphabet is None else {"limit_alphabet": limit_alphabet}
        folder.mkdir(parents=True, exist_ok=True)
        documents = list(_documents(data))
        with (folder / "documents.jsonl").open("w", encoding="utf-8") as stream:
            for document in documents:
                held_out = is_held_out(
                    document, share=config.corpus.held_out_share, seed=config.seed
                )
                line = json.dumps({"text": document.text}, ensure_ascii=False) + "\n"
                stream.write(line * (1 if held_out else repeat))
        tokens = learn_vocabulary(
            (document.text for document in documents),
            config=VocabularyConfig(size=vocab_size, **alphabet),
            tokenizer=config.tokenizer,
        )
        WordPieceTokenizer(tokens, lower_case=config.tokenizer.lower_case).save(folder)
        prepare_records(config, records)
    return records


def learning_config(folder: Path, *, length: int) -> Config:
    """What the records are a function of, and the masks made of them."""
    return validate_config(
        {
            "corpus": {"paths": [str(folder / "documents.jsonl")], "held_out_share": 0.1},
            "tokenizer": {"vocabulary": str(folder), "lower_case": True},
            "examples": {"max_seq_length": length},
            "masking": {"max_predictions_per_seq": max(1, round(0.16 * length))},
        }
    )


def _documents(data: Path) -> Iterator[Document]:
    for path, boundary in (("progit", "file"), ("wikitext2_valid.txt", "wikitext")):
        yield from read_documents(
            CorpusConfig(paths=(str(data / path),), document_boundary=boundary)
        )
