"""Which method is best here, by how much, is it significant, and what did its labels cost: read from stored runs."""
