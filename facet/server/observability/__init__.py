"""Metrics, latencies and traces of the server."""
