"""The tracking store: all that knows MLflow."""
