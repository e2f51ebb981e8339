"""Weakly supervised segmentation from patch labels: OEEM (Li et al., MICCAI 2022) with its baselines."""
