"""Multiple-instance learning on patches: where patches lie, the units they belong to, and the top ones of a unit.

Read `lattice.py` (the patches of one slide), then `cohort.py` (the units of many slides), then `top.py`.
"""
