"""Studies: the sweep file, its search space, and what is stored of a study."""
