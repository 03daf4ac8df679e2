"""`make demo`: its texts, its own steps and its report."""
