"""The gate: may a new version of a task's model replace the one that is served?"""
