"""The fast paths of layers that need JAX itself."""
