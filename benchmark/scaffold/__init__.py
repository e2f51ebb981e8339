"""`bench new`: a package with a method, a dataset or a sweep of one's own, and a test that passes at once."""
