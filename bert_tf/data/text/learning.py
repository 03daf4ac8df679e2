"""`bert-tf vocab`: a corpus in, a vocabulary with its settings and its report out."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from bert_tf.config import Config, write_config
from bert_tf.data.text import (
    sentencepiece,
    sentencepiece_learning,
    vocabulary,
    vocabulary_report,
    wordpiece,
)
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary_corpus import OnProgress, VocabularyCorpus
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

    tokenizer = _tokenizer_of(config, count())
    report = vocabulary_report.measure_vocabulary(tokenizer, texts.held_out_texts())
    tokenizer.save(output_dir)
    vocabulary_report.write_report(
        report, output_dir, vocab_size=tokenizer.vocab_size, learned=learned
    )
    write_config(config, output_dir)
    logger.info("Vocabulary: %s.", report.summary())
    return tokenizer


def _tokenizer_of(config: Config, documents: Iterable[str]) -> Tokenizer:
    section, settings = config.vocabulary, config.tokenizer
    if section.kind == "wordpiece":
        if settings.lossless:
            raise ValueError(
                "tokenizer.lossless needs vocabulary.kind=unigram or bpe: WordPiece forgets where "
                "white space was. Received: kind=wordpiece. Set one of the two."
            )
        tokens = vocabulary.learn_vocabulary(documents, config=section, tokenizer=settings)
        options = {name: getattr(settings, name) for name in wordpiece.SETTINGS}
        return wordpiece.WordPieceTokenizer(tokens, **options)
    sentencepiece.refuse_limit_of_words(settings)
    model = sentencepiece_learning.learn_model(documents, config=section, tokenizer=settings)
    options = {name: getattr(settings, name) for name in sentencepiece.SETTINGS}
    tokenizer = sentencepiece.SentencePieceTokenizer(model, **options)
    if tokenizer.vocab_size < section.size:
        logger.warning(
            "The corpus gave %d tokens of the %d asked for.", tokenizer.vocab_size, section.size
        )
    return tokenizer
