"""Tensors and requests as TensorFlow Serving's JSON; read by the server, written by the clients."""
