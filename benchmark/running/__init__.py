"""Runs: one combination of method, dataset and seed, or a matrix of them."""
