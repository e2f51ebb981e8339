"""Multiple-instance learning from image labels alone: poolings over frozen features, and top-k MIL on pixels."""
