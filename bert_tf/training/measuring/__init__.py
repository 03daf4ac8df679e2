"""Speed, memory and time profiles of a training run."""
