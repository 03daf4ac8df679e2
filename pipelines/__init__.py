"""Flows of steps, from files that change to a served model: definition, engine, schedule, demo."""
