"""Prove that a dataset on disk is complete, readable and consistent with itself."""
