"""Multiple-instance learning on patches: where patches lie, units, bags, poolings and their training.

Read `lattice.py` (the patches of one slide), then `cohort.py` (the units of many slides), then `top.py` (top ones of a
unit). Frozen features: `bags.py`, `pooling.py` and the poolings `*_pooling.py`, `mil_losses.py`, `mil_training.py`.
"""
