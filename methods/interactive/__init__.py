"""Interactive annotation: an expert reviews the patches that a strategy proposes."""
