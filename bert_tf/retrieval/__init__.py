"""Texts found by their embeddings: exact search, and negatives that are hard to tell apart."""
