"""The page about a run of a flow, and its pictures."""
