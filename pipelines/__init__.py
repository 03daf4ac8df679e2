"""The demonstration flow: from text that every machine has to a served classifier."""
