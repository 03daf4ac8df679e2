"""The local server: REST and gRPC in, the SavedModel's answers out."""
