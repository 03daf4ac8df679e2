"""The training engine: devices, optimizer, step, loop, checkpoints, tracking."""
