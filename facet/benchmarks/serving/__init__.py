"""Benchmarks of the server, compared with InsightFace."""
