"""Hybrid supervision (Li et al., MICCAI 2021) and its pixel-level baseline."""
