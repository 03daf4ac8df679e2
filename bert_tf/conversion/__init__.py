"""Checkpoints of other libraries, in and out: one file a format, and only there its names."""
