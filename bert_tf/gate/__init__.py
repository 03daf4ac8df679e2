"""Is a new classifier good enough to replace the one that is served?"""
