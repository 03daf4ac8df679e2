"""The claims of the source notes, each with its figure: small models, one thing changed in each."""
