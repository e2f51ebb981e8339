"""Encoders: frozen networks, their features, and training without labels."""
