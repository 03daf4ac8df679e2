"""`bert-tf vocab`: a corpus in, a WordPiece vocabulary with its settings and its report out."""

import logging
from collections.abc import Iterator
from pathlib import Path

from bert_tf.config import Config, write_config
from bert_tf.data.text import vocabulary, vocabulary_report
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary_corpus import OnProgress, VocabularyCorpus
from bert_tf.data.text.wordpiece import SETTINGS, WordPieceTokenizer
from bert_tf.system.output_folder import owned_folder

logger = logging.getLogger(__name__)


def learn_tokenizer(
    config: Config, output_dir: str | Path, *, on_progress: OnProgress | None = None
) -> Tokenizer:
    """`bert-tf vocab`: learn a vocabulary from `config.corpus` and save tokenizer and settings.

    The held-out documents are not learned from: `vocabulary_report.md` and `.json` say how the
    vocabulary does on them. `on_progress` is told ("documents read", done, None) now and then.

    Raises:
        ValueError: also where the folder is another process' or holds something else.
    """
    with owned_folder(output_dir, command="vocab") as folder:
        return _learn(config, folder, on_progress=on_progress)


def _learn(config: Config, output_dir: Path, *, on_progress: OnProgress | None) -> Tokenizer:
    texts = VocabularyCorpus(config, on_progress=on_progress)
    learned = {
        "learned_documents": 0,
        "learned_bytes": 0,
        "is_sample": config.vocabulary.sample_bytes is not None,
    }

    def count() -> Iterator[str]:
        for text in texts.learned_texts():
            learned["learned_documents"] += 1
            learned["learned_bytes"] += len(text.encode())
            yield text

    settings = config.tokenizer
    tokens = vocabulary.learn_vocabulary(count(), config=config.vocabulary, tokenizer=settings)
    tokenizer = WordPieceTokenizer(tokens, **{name: getattr(settings, name) for name in SETTINGS})
    report = vocabulary_report.measure_vocabulary(tokenizer, texts.held_out_texts())
    tokenizer.save(output_dir)
    vocabulary_report.write_report(
        report, output_dir, vocab_size=tokenizer.vocab_size, learned=learned
    )
    write_config(config, output_dir)
    logger.info("Vocabulary: %s.", report.summary())
    return tokenizer
