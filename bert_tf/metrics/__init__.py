"""Metrics of predictions with their uncertainty, and pictures of them."""
