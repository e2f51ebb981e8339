"""Hybrid supervision (Li et al., MICCAI 2021), its pixel-level baseline, and top-k MIL (Campanella 2019)."""
