"""Tuning with Optuna: sweep files, search spaces, studies, trials, the closing test. Start with README.md."""
