"""Benchmarks of the server, beside InsightFace."""
