"""Serving: a local server that answers like TensorFlow Serving, and clients for either of them.

What comes in is a directory of SavedModels, `BASE/VERSION/`; what goes out are answers over REST
and gRPC. Nothing here imports `bert_tf` or Keras: a SavedModel must stand alone.
"""
