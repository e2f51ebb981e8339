"""Metrics: one pure function each, and `suite`, which computes all that apply to a prediction."""
