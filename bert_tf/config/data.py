"""The sections of `vocab` and `prepare`, from raw text to records, and of masking."""

from typing import Literal, Self

import pydantic

from bert_tf.config.section import Rate, Section, Share, TextEncoding


class CorpusConfig(Section):
    """Where raw text comes from and how it falls into documents."""

    paths: tuple[str, ...] = ()
    """Files, folders (read recursively) and globs: .txt and .jsonl (plain, .gz, .zst), .parquet.
    "-" is standard input, for `bert-tf prepare`; `hub:NAME[@REVISION][:CONFIG[:SPLIT]]` is what the
    package `datasets` loads (extra `datasets`)."""
    standard_input_kind: Literal["txt", "jsonl"] = "txt"
    """What standard input holds, not packed."""
    document_boundary: Literal["blank_line", "file", "line", "wikitext"] = "blank_line"
    """What ends a document in a .txt file. In .jsonl, .parquet and hub data sets every row is one.
    `wikitext`: articles with ` = Title = ` headings, where there are rows a line of them a row; the
    headings are left out."""
    text_field: str = "text"
    """The field of a .jsonl line, or the column of another table, that holds the text."""
    encoding: TextEncoding = "utf-8"
    """What .txt and .jsonl files are written in: `cp949`, `euc-kr`, `utf-16-le`, `cp1252`, …
    A file that begins with a byte order mark is read as what the mark says."""
    encoding_errors: Literal["error", "replace"] = "error"
    """Bytes that are not in `encoding`: stop with file and line, or put U+FFFD and count. For some
    damaged bytes; text in another encoding is lost by `replace`."""
    drop_duplicates: bool = False
    """Of documents with the same text (after NFC) keep the first. Takes up to 64 MB of memory for a
    million documents."""
    min_document_characters: pydantic.NonNegativeInt = 0
    """Drop documents with fewer characters (after NFC, line ends counted)."""
    paragraphs_are_sentences: bool = False
    """The corpus is split already: a line of .txt, or of a row's text, is one sentence as it is."""
    held_out_share: Share = 0.05
    """Share of documents kept for evaluation, chosen by a hash of the text and the seed."""


class VocabularyConfig(Section):
    """How `bert-tf vocab` learns a vocabulary."""

    kind: Literal["wordpiece", "unigram", "bpe"] = "wordpiece"
    """The last two are SentencePiece's: white space is a part of tokens, so that text comes back
    from its ids, and languages without spaces between words are read like others."""
    size: pydantic.PositiveInt = 30522
    min_frequency: pydantic.PositiveInt = 2
    """WordPiece: of a pair that is merged."""
    limit_alphabet: pydantic.PositiveInt = 6000
    """WordPiece: characters kept; rarer ones become [UNK]. Hangul alone has 11,172 syllables."""
    character_coverage: float = pydantic.Field(default=0.9995, ge=0.98, le=1.0)
    """SentencePiece: share of the text whose characters are kept; rarer ones become bytes."""
    byte_fallback: bool = True
    """SentencePiece: 256 tokens of bytes, which write any other character; without them [UNK]."""
    user_tokens: tuple[str, ...] = ()
    """Words that must be in the vocabulary whole. Of SentencePiece one token wherever they stand,
    inside of words as well."""
    num_reserved_tokens: pydantic.NonNegativeInt = 0
    """[unusedN] tokens, to be given a meaning later. The first 99 stand between [PAD] and [UNK]:
    from 99 on [UNK] [CLS] [SEP] [MASK] have the ids 100 to 103, as in Google's vocabularies. Of
    SentencePiece they stand behind [MASK], which has the id 4."""
    sample_bytes: pydantic.PositiveInt | None = None
    """Learn from at most this many bytes of text, documents drawn by a hash of their text and the
    seed. Default: all of it. The memory needed grows with the different words."""

    @pydantic.model_validator(mode="after")
    def _settings_are_of_the_kind(self) -> Self:
        of_others = {
            "wordpiece": ("character_coverage", "byte_fallback"),
            "unigram": ("min_frequency", "limit_alphabet"),
            "bpe": ("min_frequency", "limit_alphabet"),
        }[self.kind]
        defaults = type(self).model_fields
        for name in of_others:
            if getattr(self, name) != defaults[name].default:
                raise ValueError(
                    f"{name} must be left as it is for vocabulary.kind={self.kind}, which has no "
                    f"such setting. Received: {getattr(self, name)}. Take vocabulary.{name} out."
                )
        return self


class TokenizerConfig(Section):
    """Text to ids. Written as `tokenizer.json` beside every vocabulary."""

    vocabulary: str | None = None
    """A `vocab.txt` of WordPiece, an `spm.model` of SentencePiece, or a folder with one of them. A
    `tokenizer.json` beside it rules the fields below."""
    lower_case: bool = False
    strip_accents: bool = False
    """Remove accents by NFD, as Google's uncased models do. Takes Hangul apart: not for Korean."""
    unicode_normalization: Literal["NFC", "NFKC", "none"] = "NFC"
    max_word_characters: int = pydantic.Field(default=200, ge=1, le=400)
    """WordPiece: a longer word is [UNK]. Google's code: 200; Hugging Face's files for BERT: 100."""
    lossless: bool = False
    """SentencePiece: nothing is changed before text is split, control characters and white space
    stay, and every text comes back from its ids as it was. Otherwise control characters are removed
    and white space in a row is one space."""

    @pydantic.model_validator(mode="after")
    def _accents_need_lower_case(self) -> Self:
        if self.strip_accents and not self.lower_case:
            raise ValueError(
                "strip_accents needs lower_case: BERT's normaliser does both or neither. "
                "Received: strip_accents=true, lower_case=false. Set tokenizer.lower_case=true."
            )
        return self

    @pydantic.model_validator(mode="after")
    def _lossless_changes_nothing(self) -> Self:
        if self.lossless and (self.lower_case or self.unicode_normalization != "none"):
            raise ValueError(
                "lossless needs text as it is. Received: lossless=true, "
                f"lower_case={str(self.lower_case).lower()}, "
                f"unicode_normalization={self.unicode_normalization}. Set "
                "tokenizer.unicode_normalization=none and tokenizer.lower_case=false."
            )
        return self


class ExamplesConfig(Section):
    """Documents to sentence pairs. Defaults: Devlin et al. 2019, appendix A.2."""

    max_seq_length: int = pydantic.Field(default=128, ge=8)
    """Tokens, [CLS] and both [SEP] included."""
    next_sentence: bool = True
    """Pairs with labels; false fills each sequence with consecutive sentences of one document
    (Liu et al. 2019, RoBERTa, "doc-sentences")."""
    negative_pairs: Literal["random", "swapped"] = "random"
    """What the pairs of label 1 are: next-sentence prediction, with a second part of another
    document, or sentence-order prediction (Lan et al. 2020, ALBERT), with both parts exchanged."""
    random_next_share: Share = 0.5
    """Share of label 1 among chunks of two sentences or more. One sentence alone gets a `random`
    second part; with `swapped` it has none, and no label."""
    short_seq_prob: Share = 0.1

    @pydantic.model_validator(mode="after")
    def _swapped_pairs_are_pairs(self) -> Self:
        if self.negative_pairs == "swapped" and not self.next_sentence:
            raise ValueError(
                "negative_pairs=swapped needs pairs. Received: next_sentence=false. "
                "Set examples.next_sentence=true, or leave negative_pairs out."
            )
        return self


class MaskingConfig(Section):
    """Which tokens are predicted and what stands in their place. Defaults: Devlin et al. 2019."""

    unit: Literal["token", "word", "ngram", "span"] = "token"
    """What is chosen at once: a token, a whole word, 1 to `max_ngram_words` neighbouring words, or
    1 to `max_span_words`. A word is a piece and those after it that go on with it."""
    masked_lm_prob: Rate = 0.15
    max_predictions_per_seq: pydantic.PositiveInt = 20
    mask_share: Share = 0.8
    random_share: Share = 0.1
    """The rest of the selected tokens stays as it is."""
    max_ngram_words: int = pydantic.Field(default=3, ge=1, le=10)
    """`unit: ngram`: n words have a weight of 1/n (Lan et al. 2020, ALBERT)."""
    max_span_words: int = pydantic.Field(default=10, ge=1, le=20)
    span_stop_prob: float = pydantic.Field(default=0.2, gt=0.0, lt=1.0)
    """`unit: span`: the p of the geometric distribution of words (Joshi et al. 2020, SpanBERT)."""

    @pydantic.model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.mask_share + self.random_share > 1.0 + 1e-9:
            raise ValueError(
                "mask_share + random_share must be at most 1. Received: "
                f"{self.mask_share} + {self.random_share}. Lower one of them."
            )
        return self


class RecordsConfig(Section):
    """How `bert-tf prepare` writes TFRecord files."""

    num_shards: pydantic.PositiveInt = 8
    num_workers: pydantic.NonNegativeInt = 0
    """Processes; 0 means one a core. The records do not depend on it."""
    compression: Literal["none", "gzip"] = "none"
