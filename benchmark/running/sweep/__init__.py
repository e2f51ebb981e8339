"""Studies in Optuna: nothing outside of this folder imports it."""
