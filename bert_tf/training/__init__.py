"""Training: `stages/` says what is trained, `engine/` how, `workers/` on how many machines."""
