"""The command `bert-tf`: a file a group of commands, and what they share."""
