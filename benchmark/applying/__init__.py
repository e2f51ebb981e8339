"""Methods at work on one's own slides."""
