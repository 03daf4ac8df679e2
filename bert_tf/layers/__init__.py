"""Keras layers of the Transformer and of BERT's heads. They know no model and no data."""
