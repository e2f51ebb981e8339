"""Multiple-instance learning from image labels alone: top-k MIL (Campanella et al., Nature Medicine 2019)."""
