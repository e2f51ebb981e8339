"""How good for how many minutes of an expert: curves over budgets, where they cross, and how sure that is."""
