"""Painted tissue and slides composed of real tissue."""
