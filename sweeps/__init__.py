"""Search spaces, one YAML file per study."""
