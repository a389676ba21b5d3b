"""Benchmark of large photos."""
