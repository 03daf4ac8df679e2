"""Tracks runs: metrics into MLflow and a journal, and the provenance of models and data."""
