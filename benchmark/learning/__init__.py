"""Parts that two methods share: encoders, weight files, training loop, segmentation nets."""
