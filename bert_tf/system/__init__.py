"""What the package asks of the operating system: files, locks, signals, environment, clusters."""
