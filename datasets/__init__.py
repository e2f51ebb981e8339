"""Dataset adapters: one file per dataset, and the tissue painter their miniatures share."""
