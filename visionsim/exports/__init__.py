"""Datasets in the formats of others: one module for each, which imports optional libraries where it needs them."""
