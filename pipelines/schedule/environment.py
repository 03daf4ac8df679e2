"""Environment variables by which `daemon` tells `definitions`, which Dagster loads, what to run."""

FLOW = "BERT_TF_FLOW"
"""The flow's name."""
CONFIG = "BERT_TF_FLOW_CONFIG"
"""Its YAML file."""
OUTPUT_DIR = "BERT_TF_FLOW_OUTPUT_DIR"
"""The folder of all flows."""
