"""OEEM (Li et al., MICCAI 2022): weakly supervised gland segmentation, with its baselines."""
