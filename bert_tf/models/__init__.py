"""Models made of the layers, and how their weights are kept on disk."""
