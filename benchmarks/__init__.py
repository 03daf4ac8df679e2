"""Side by side with peers: one script a question, printing medians and ratios."""
