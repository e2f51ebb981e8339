"""What people look at: overlays, curves, tables, the summary page; and what the tracking store needs besides MLflow."""
