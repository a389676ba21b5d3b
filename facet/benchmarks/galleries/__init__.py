"""Benchmarks of galleries, indexes, calibration and ranking."""
