"""Runs a flow by cron and on new data: Dagster's definitions and programs."""
