"""The page on which a person is the expert: an annotation step by step, saved at every answer."""
