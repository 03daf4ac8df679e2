"""BERT from raw text to a served model, on Keras and TensorFlow."""

__version__ = "0.1.0"
