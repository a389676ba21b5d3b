"""Benchmarks of camera streams."""
