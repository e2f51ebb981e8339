"""What two methods share: encoders, nets, segmentation, multiple-instance learning, losses, augmentation, training."""
