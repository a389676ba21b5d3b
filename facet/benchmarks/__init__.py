"""Benchmarks: speed, memory and drift, compared with other software."""
