"""A flow by a schedule and on new data: Dagster's definitions and programs."""
