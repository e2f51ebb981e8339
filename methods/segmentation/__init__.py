"""Fully supervised segmentation: the upper bound of the weakly supervised methods."""
