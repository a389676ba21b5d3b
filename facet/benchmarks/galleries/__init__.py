"""Benchmarks of galleries, stores, calibration and ranking."""
