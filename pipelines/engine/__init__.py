"""Steps, their state and processes, the run of a flow, its history."""
