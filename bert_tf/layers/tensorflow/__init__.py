"""The fast paths of layers that need TensorFlow itself."""
