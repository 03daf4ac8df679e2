"""What the steps of the shipped flows do."""
