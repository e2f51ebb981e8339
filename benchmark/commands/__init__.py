"""The verbs of `bench`: thin, and importing nothing heavy before they are called."""
