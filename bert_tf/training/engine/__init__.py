"""The training loop and its parts: devices, step, objective, evaluation, checkpoints."""
