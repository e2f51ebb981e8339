"""The catalogue of encoders: one class each, registered under `bench.encoders`."""
