"""Runs that are disturbed in every way we can think of."""
