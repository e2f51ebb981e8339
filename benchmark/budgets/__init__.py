"""Budgets of a run: how many labels it may use, and which training slides they are spent on."""
