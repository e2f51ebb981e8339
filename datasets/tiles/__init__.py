"""Data sets of small images."""
