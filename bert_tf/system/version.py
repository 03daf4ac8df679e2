"""The version of the package, in a place of its own: what is below `bert_tf` itself needs it."""

__version__ = "0.1.0"
