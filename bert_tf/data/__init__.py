"""Corpus in, batches out: documents, vocabulary, tokenizer, sentence pairs, masks, records."""
