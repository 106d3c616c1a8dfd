"""Streams: windows over event time, and pipelines as data."""
