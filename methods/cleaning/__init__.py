"""Cleaning of coarse annotations (Wang, Popel, Sulam, 2021): LC-MIL, its baseline deep k-NN, and doing nothing."""
