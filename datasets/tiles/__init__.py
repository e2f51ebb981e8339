"""Datasets of small images."""
