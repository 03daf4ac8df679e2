"""What a model can be fine-tuned for: a task is one file here, and one row in `table.py`.

Stages, evaluation, export, gate, drift, smoke test, flows, card, conversion and prediction ask the
task (`base.py` says what it must provide); none of them knows a task by name.
"""
