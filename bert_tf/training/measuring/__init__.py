"""Speed and memory of a training run, and the profiler that says where a step's time goes."""
